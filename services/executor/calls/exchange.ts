import { parseRetryAfterMs } from "../../domain/delivery/backoff.ts";
import { isSuccessStatus, type Outcome, outcomeOfStatus } from "../../domain/delivery/outcome.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Attempt, Ended } from "./attempt.ts";
import type { Call } from "./call.ts";
import type { Connection, Passenger } from "./connection.ts";
import { isReset, outcomeOfError } from "./network-failure.ts";
import type { Pace } from "./origin.ts";
import type { Preparation } from "./preparation.ts";

// What is read of an answer before the connection is rather closed. Nothing of it is kept.
const answerCapBytes = 64 * 1024;

/** What exchanges need of the one who makes the calls. */
export interface Caller {
  readonly clock: Clock;
  readonly preparation: Preparation;
  /** The call is over, and its connection is free or lost. */
  released(exchange: Exchange, ended: Ended): void;
}

/**
 * The call of an attempt while it is on the wire: undici's handler, in the older interface of that (onConnect ...), since
 * one is made for each call and the newer one parses all headers of each answer.
 */
export class Exchange implements Passenger {
  readonly kind = "onWire";
  readonly #caller: Caller;
  readonly attempt: Attempt;
  readonly call: Call;
  readonly connection: Connection;
  /** Its place among those in flight. */
  slot = -1;
  /** How many times its caller has found it in flight. */
  checks = 0;
  /** What its scheduler was told of that. */
  pace: Pace = "quick";
  /** Whether its answer was longer than what is read of one. */
  overlong = false;
  /** Monotonic; the timeout counts from the moment the call is given a connection. */
  readonly deadlineMs: number;
  #sentAtMs = 0;
  #sentMonotonicMs = 0;
  #status = 0;
  #retryAfterMs = 0;
  #bytes = 0;
  #answering = false;
  #resent = false;
  /** Decided before it has ended: its deadline has passed, say. */
  #outcome: Outcome | undefined;
  #abort: ((error: Error) => void) | undefined;

  constructor(caller: Caller, attempt: Attempt, connection: Connection) {
    this.#caller = caller;
    this.attempt = attempt;
    this.call = attempt.call;
    this.connection = connection;
    this.#markSent();
    this.deadlineMs = this.#sentMonotonicMs + attempt.call.timeoutMs;
    attempt.state = this;
  }

  /** Sends it. What fails at once has ended before this returns, and is released soon after. */
  start(): void {
    this.connection.dispatch(this);
  }

  headers(): string[] {
    return this.#caller.preparation.headersOf(this.attempt);
  }

  /** Ends the call now, with this outcome. */
  end(outcome: Outcome, error: Error): void {
    this.#outcome ??= outcome;
    // What is on the wire is aborted first; a call that has no socket yet ends with its connection.
    this.#abort?.(error);
    this.connection.abandon(error);
  }

  /** When the request was handed to the socket; before that, to its connection. Unix milliseconds. */
  get sentAtMs(): number {
    return this.#sentAtMs;
  }

  /** Status of the answer so far; 0 when there is none. */
  answeredStatus(): number {
    return this.#status;
  }

  // From here on: called by undici.

  onConnect(abort: (error: Error) => void): void {
    this.#abort = abort;
    this.#markSent();
  }

  /** The first byte of the answer. */
  onResponseStarted(): void {
    this.#answering = true;
  }

  onHeaders(status: number, rawHeaders: Buffer[]): boolean {
    // Early hints and the like are no answer yet.
    if (status < 200) return true;
    this.#status = status;
    if (!isSuccessStatus(status)) this.#retryAfterMs = retryAfterOf(rawHeaders, this.#caller.clock.nowMs());
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes <= answerCapBytes) return true;
    // The status decides; reading on could take for ever.
    this.overlong = true;
    this.end(outcomeOfStatus(this.#status, this.#retryAfterMs), answerTooLong);
    return true;
  }

  onComplete(): void {
    this.connection.reused = true;
    const ended = this.#note(this.#outcome ?? outcomeOfStatus(this.#status, this.#retryAfterMs));
    if (ended) this.#caller.released(this, ended);
  }

  onError(error: unknown): void {
    if (this.#isStale(error)) {
      this.#resent = true;
      this.#abort = undefined;
      queueMicrotask(() => this.#resend(error));
      return;
    }
    this.#fail(error);
  }

  #fail(error: unknown): void {
    const ended = this.#note(this.#outcome ?? outcomeOfError(error, this.call.origin));
    if (!ended) return;
    // undici is still clearing up the connection, and asserts that nobody uses it meanwhile.
    queueMicrotask(() => this.#caller.released(this, ended));
  }

  /**
   * Whether the server had closed an idle connection before the call came, as
   * far as one can see from here: RFC 9112, section 9.3.1, lets a call go out
   * again then, and Idempotency-Key tells the target if it was not so. Go's
   * net/http has the same rule (Transport, shouldRetryRequest).
   */
  #isStale(error: unknown): boolean {
    return this.connection.reused && !this.#resent && !this.#answering && !this.#outcome && isReset(error);
  }

  /** Within the same attempt, and its deadline stays. */
  #resend(error: unknown): void {
    // It was ended meanwhile.
    if (this.#outcome || !this.connection.usable) return this.#fail(error);
    this.#markSent();
    this.connection.dispatch(this);
  }

  #markSent(): void {
    this.#sentAtMs = this.#caller.clock.nowMs();
    this.#sentMonotonicMs = this.#caller.clock.monotonicMs();
  }

  /** Undefined when the call had ended before. */
  #note(outcome: Outcome): Ended | undefined {
    if (this.attempt.state !== this) return undefined;
    const durationMs = Math.round(this.#caller.clock.monotonicMs() - this.#sentMonotonicMs);
    const ended: Ended = { kind: "ended", outcome, sentAtMs: this.#sentAtMs, durationMs };
    this.attempt.state = ended;
    return ended;
  }
}

const answerTooLong = new Error("the answer is longer than what is read of it");

const retryAfterName = "retry-after";

function retryAfterOf(rawHeaders: Buffer[], nowMs: number): number {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length !== retryAfterName.length || name.toString("latin1").toLowerCase() !== retryAfterName) continue;
    return parseRetryAfterMs(rawHeaders[i + 1]?.toString("latin1") ?? "", nowMs);
  }
  return 0;
}
