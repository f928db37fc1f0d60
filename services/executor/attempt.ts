import { parseRetryAfterMs } from "../domain/backoff.ts";
import { isSuccessStatus, type Outcome, outcomeOfStatus } from "../domain/outcome.ts";
import type { Clock } from "../platform/clock.ts";
import type { Call } from "./call.ts";
import type { Connection } from "./connection.ts";
import { outcomeOfError } from "./network-failure.ts";
import type { Settlement } from "./settlement.ts";

// What is read of an answer before the connection is rather closed. Nothing of it is kept.
const answerCapBytes = 64 * 1024;

/** What attempts need of the one who makes the calls. */
export interface Caller {
  readonly clock: Clock;
  traceParent(): string;
  /** RFC 3339, UTC, of a unix second. */
  scheduledTime(second: number): string;
  /** The call is over, and its connection is free or lost. */
  released(attempt: Attempt): void;
}

/**
 * One HTTP call of an execution: the item that waits, undici's handler while it
 * runs, and the source of its record afterwards. One object for all three, and
 * the older handler interface (onConnect ...), because this is made for each
 * execution: the newer one parses all headers of each answer.
 */
export class Attempt {
  readonly #caller: Caller;
  call: Call;
  readonly executionId: string;
  readonly second: number;
  /** From 1. */
  readonly number: number;
  readonly settlement: Settlement;

  connection: Connection | undefined;
  /** Its place among those in flight. */
  slot = -1;
  /** When it began to wait for a connection; monotonic. */
  queuedAtMs = 0;
  /** How many times its caller has found it in flight. */
  checks = 0;
  /** When the request was handed to the socket; before that, to its connection. */
  sentAtMs = 0;
  durationMs = 0;
  outcome: Outcome | undefined;

  /** Monotonic; the timeout counts from the moment the call is given a connection. */
  deadlineMs = 0;
  #sentMonotonicMs = 0;
  #status = 0;
  #retryAfterMs = 0;
  #bytes = 0;
  #abort: ((error: Error) => void) | undefined;
  #ended = false;

  constructor(caller: Caller, call: Call, executionId: string, second: number, number: number, settlement: Settlement) {
    this.#caller = caller;
    this.call = call;
    this.executionId = executionId;
    this.second = second;
    this.number = number;
    this.settlement = settlement;
  }

  /** Gives the call a connection. */
  start(connection: Connection): void {
    this.connection = connection;
    this.#markSent();
    this.deadlineMs = this.#sentMonotonicMs + this.call.timeoutMs;
    connection.dispatch(this);
  }

  /** Fails a call that is never sent. */
  reject(outcome: Outcome): void {
    this.sentAtMs = this.#caller.clock.nowMs();
    this.outcome = outcome;
  }

  headers(): string[] {
    const caller = this.#caller;
    return [
      ...this.call.headers,
      "Idempotency-Key",
      this.executionId,
      "Carillon-Execution-Id",
      this.executionId,
      "Carillon-Scheduled-Time",
      caller.scheduledTime(this.second),
      "Carillon-Attempt",
      this.number === 1 ? "1" : String(this.number),
      "traceparent",
      caller.traceParent(),
    ];
  }

  /** Ends the call now, with this outcome. */
  end(outcome: Outcome, error: Error): void {
    this.outcome ??= outcome;
    // Without a connection yet there is nothing to abort but the connection itself.
    if (this.#abort) this.#abort(error);
    else this.connection?.abandon(error);
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

  onHeaders(status: number, rawHeaders: Buffer[]): boolean {
    // Early hints and the like are no answer yet.
    if (status < 200) return true;
    this.#status = status;
    if (!isSuccessStatus(status)) this.#retryAfterMs = retryAfterOf(rawHeaders, this.#caller.clock.nowMs());
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    // The status decides; reading on could take for ever.
    if (this.#bytes > answerCapBytes) this.end(outcomeOfStatus(this.#status, this.#retryAfterMs), answerTooLong);
    return true;
  }

  onComplete(): void {
    if (this.#note(this.outcome ?? outcomeOfStatus(this.#status, this.#retryAfterMs))) this.#caller.released(this);
  }

  onError(error: unknown): void {
    if (!this.#note(this.outcome ?? outcomeOfError(error, this.call.origin))) return;
    // undici is still clearing up the connection, and asserts that nobody uses it meanwhile.
    queueMicrotask(() => this.#caller.released(this));
  }

  #markSent(): void {
    this.sentAtMs = this.#caller.clock.nowMs();
    this.#sentMonotonicMs = this.#caller.clock.monotonicMs();
  }

  /** False when the call had ended before. */
  #note(outcome: Outcome): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.outcome = outcome;
    this.durationMs = Math.round(this.#caller.clock.monotonicMs() - this.#sentMonotonicMs);
    return true;
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
