import type { LookupAddress } from "node:dns";
import { LRUCache } from "lru-cache";
import pLimit from "p-limit";
import { type Clock, sleep } from "../process/clock.ts";
import type { NameServers, ServerAnswer } from "./name-servers.ts";

/**
 * Resolves the names of targets without a thread of the process: getaddrinfo
 * holds one of four while a name server is silent, and four silent names then
 * stop all others.
 *
 * A name is asked for once at a time, and remembered: for the TTL of its records
 * (1 s to 5 min), and where it does not exist or nobody answers for a span that
 * grows from 5 s to a minute. Where a name server falls silent, the addresses
 * that it gave within the last hour stand (RFC 8767).
 */
export interface NameResolver {
  /** At least one address. Rejects with NameError. */
  resolve(hostname: string): Promise<readonly LookupAddress[]>;
}

/** A name has no address, or nobody says which. */
export class NameError extends Error {
  readonly hostname: string;
  readonly reason: "NOT_FOUND" | "NO_ANSWER";

  constructor(hostname: string, reason: NameError["reason"], detail: string) {
    super(
      reason === "NOT_FOUND" ? `the name ${hostname} was not found (${detail})` : `${detail} for the name ${hostname}`,
    );
    this.name = "NameError";
    this.hostname = hostname;
    this.reason = reason;
  }
}

const shortestTtlMs = 1_000;
const longestTtlMs = 5 * 60_000;
const firstHoldOffMs = 5_000;
const longestHoldOffMs = 60_000;
const staleForMs = 3_600_000;
// How long a caller waits for news of a name whose address is known, though not for sure (RFC 8767, section 5).
const newsWithinMs = 500;
const maxNames = 10_000;
// Names that are asked for at once. Those that got no answer the last time have a part of it only.
const maxAsked = 512;
const maxAskedAgain = 64;

interface Known {
  addresses: readonly LookupAddress[];
  /** Why there is no newer answer. */
  error: NameError | undefined;
  /** Asked for again from here on; monotonic. */
  freshUntilMs: number;
  /** Until when the addresses may be used though they could not be confirmed. */
  staleUntilMs: number;
  /** Times in a row that nobody answered. */
  silences: number;
}

export function createNameResolver(servers: NameServers, deps: { clock: Clock }): NameResolver {
  const { clock } = deps;
  const known = new LRUCache<string, Known>({ max: maxNames });
  const asking = new Map<string, Promise<Known>>();
  const limit = pLimit(maxAsked);
  const limitAgain = pLimit(maxAskedAgain);

  const learn = (name: string, answer: ServerAnswer): Known => {
    const nowMs = clock.monotonicMs();
    const before = known.get(name);
    const next = knownFrom(name, answer, before, nowMs);
    known.set(name, next);
    return next;
  };

  const ask = (name: string, silences: number): Promise<Known> => {
    const under = asking.get(name);
    if (under) return under;
    const place = silences > 0 ? limitAgain : limit;
    const answered = place(() => servers.ask(name))
      .then((answer) => learn(name, answer))
      .finally(() => asking.delete(name));
    asking.set(name, answered);
    return answered;
  };

  return {
    async resolve(hostname) {
      const name = hostname.toLowerCase();
      const own = await servers.local(name);
      if (own.length > 0) return own;
      const nowMs = clock.monotonicMs();
      const last = known.get(name);
      if (last && nowMs < last.freshUntilMs) return addressesOf(last);
      const news = ask(name, last?.silences ?? 0);
      if (!last || last.addresses.length === 0 || nowMs >= last.staleUntilMs) return addressesOf(await news);
      const patience = new AbortController();
      const latest = await Promise.race([news, sleep(clock, newsWithinMs, patience.signal)]);
      patience.abort();
      return addressesOf(latest ?? last);
    },
  };
}

function addressesOf({ addresses, error }: Known): readonly LookupAddress[] {
  if (error && addresses.length === 0) throw error;
  return addresses;
}

function knownFrom(name: string, answer: ServerAnswer, before: Known | undefined, nowMs: number): Known {
  if (answer.kind === "addresses") {
    const ttlMs = Math.min(Math.max(answer.ttlSeconds * 1_000, shortestTtlMs), longestTtlMs);
    const freshUntilMs = nowMs + ttlMs;
    return {
      addresses: answer.addresses,
      error: undefined,
      freshUntilMs,
      staleUntilMs: nowMs + staleForMs,
      silences: 0,
    };
  }
  if (answer.kind === "none") {
    const error = new NameError(name, "NOT_FOUND", answer.code);
    return { addresses: [], error, freshUntilMs: nowMs + firstHoldOffMs, staleUntilMs: nowMs, silences: 0 };
  }
  const silences = (before?.silences ?? 0) + 1;
  const holdOffMs = Math.min(firstHoldOffMs * 2 ** (silences - 1), longestHoldOffMs);
  const usable = before !== undefined && nowMs < before.staleUntilMs;
  return {
    addresses: usable ? before.addresses : [],
    error: new NameError(name, "NO_ANSWER", `no name server answered (${answer.code})`),
    freshUntilMs: nowMs + holdOffMs,
    staleUntilMs: usable ? before.staleUntilMs : nowMs,
    silences,
  };
}
