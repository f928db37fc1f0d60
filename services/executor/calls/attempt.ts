import { parseRetryAfterMs } from "../../domain/delivery/backoff.ts";
import { isSuccessStatus, type Outcome, outcomeOfStatus } from "../../domain/delivery/outcome.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { LaneKind } from "../../wire/lane.ts";
import type { Redrive } from "../../wire/retry-batch.ts";
import type { Settlement } from "../settling/settlements.ts";
import type { Call } from "./call.ts";
import type { Connection } from "./connection.ts";
import { isReset, outcomeOfError } from "./network-failure.ts";
import type { Pace } from "./origin.ts";

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
  /** Changes hands while the call is on the wire: to the record of who runs it. */
  settlement: Settlement;
  /** The lane that its message lies in; undefined when it lies in none. */
  lane: LaneKind | undefined;
  /** Whether it was moved to a lane before, or lay in RUNNING. */
  moved = false;
  /** When the state of its job was last known for sure, unix milliseconds; of what waits for long in a lane. */
  knownAtMs = Number.POSITIVE_INFINITY;
  /** The generation of its job by which it was found to be made. A manual run keeps what it was made of, and is not asked about again. */
  judgedGeneration = 0;
  /** Of an execution that was dead and is called again. */
  readonly redrive: Redrive | undefined;

  connection: Connection | undefined;
  /** Its place among those in flight. */
  slot = -1;
  /** When it began to wait for a connection; monotonic. */
  queuedAtMs = 0;
  /** How many times its caller has found it in flight. */
  checks = 0;
  /** What its scheduler was told of that. */
  pace: Pace = "quick";
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
  #answering = false;
  #resent = false;
  #abort: ((error: Error) => void) | undefined;
  #ended = false;

  constructor(
    caller: Caller,
    call: Call,
    executionId: string,
    second: number,
    number: number,
    settlement: Settlement,
    lane?: LaneKind,
    redrive?: Redrive,
  ) {
    this.#caller = caller;
    this.call = call;
    this.executionId = executionId;
    this.second = second;
    this.number = number;
    this.settlement = settlement;
    this.lane = lane;
    this.redrive = redrive;
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
    // What is on the wire is aborted first; a call that has no socket yet ends with its connection.
    this.#abort?.(error);
    this.connection?.abandon(error);
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
    // The status decides; reading on could take for ever.
    if (this.#bytes > answerCapBytes) this.end(outcomeOfStatus(this.#status, this.#retryAfterMs), answerTooLong);
    return true;
  }

  onComplete(): void {
    if (this.connection) this.connection.reused = true;
    if (this.#note(this.outcome ?? outcomeOfStatus(this.#status, this.#retryAfterMs))) this.#caller.released(this);
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
    if (!this.#note(this.outcome ?? outcomeOfError(error, this.call.origin))) return;
    // undici is still clearing up the connection, and asserts that nobody uses it meanwhile.
    queueMicrotask(() => this.#caller.released(this));
  }

  /**
   * Whether the server had closed an idle connection before the call came, as
   * far as one can see from here: RFC 9112, section 9.3.1, lets a call go out
   * again then, and Idempotency-Key tells the target if it was not so. Go's
   * net/http has the same rule (Transport, shouldRetryRequest).
   */
  #isStale(error: unknown): boolean {
    const reused = this.connection?.reused ?? false;
    return reused && !this.#resent && !this.#answering && !this.outcome && isReset(error);
  }

  /** Within the same attempt, and its deadline stays. */
  #resend(error: unknown): void {
    // It was ended meanwhile.
    if (this.outcome || !this.connection?.usable) return this.#fail(error);
    this.#markSent();
    this.connection.dispatch(this);
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
