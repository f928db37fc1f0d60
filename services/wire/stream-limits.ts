/** The streams that share the broker's storage. */
export type BoundedStream = "due" | "lanes" | "retry" | "results" | "jobs" | "dead" | "running" | "ticks" | "claims";

/**
 * What each stream may take of the broker's storage, in percent. Each has its own,
 * so that no one's backlog takes the room of another: with the executors away DUE
 * fills its share, and what they need to empty it again (RESULTS, RETRY) is still there.
 */
const sharesPercent: Readonly<Record<BoundedStream, number>> = {
  due: 30,
  lanes: 25,
  retry: 15,
  results: 10,
  jobs: 8,
  dead: 5,
  running: 4,
  ticks: 2,
  claims: 1,
};

/**
 * For a broker that names no limit and an operator who names none: it asks for no
 * more than a small server has. Where it is too much after all, it is halved.
 */
const defaultBrokerBytes = 16 * 1024 ** 3;

/** What the broker says of an account (`$JS.API.INFO`): -1 or 0 is no limit. */
export interface AccountStorage {
  limits: { max_storage: number };
  /** By name, as "R3"; their limits count a message once, however many copies there are. */
  tiers?: Readonly<Record<string, { limits: { max_storage: number } }>>;
}

/** What all streams together may take on one server: what the operator says, or else the account's limit. */
export function brokerBytes(asked: number | undefined, account: AccountStorage, replicas: number): number {
  if (asked !== undefined) return asked;
  const tier = account.tiers?.[`R${replicas}`]?.limits.max_storage ?? 0;
  const limit = tier > 0 ? tier : Math.floor(account.limits.max_storage / replicas);
  return limit > 0 ? limit : defaultBrokerBytes;
}

/** What a stream may take of so many bytes. */
export function shareOf(stream: BoundedStream, bytes: number): number {
  return Math.floor((bytes / 100) * sharesPercent[stream]);
}
