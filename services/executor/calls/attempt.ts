import type { Outcome } from "../../domain/delivery/outcome.ts";
import type { LaneKind } from "../../wire/lane.ts";
import type { Redrive } from "../../wire/retry-batch.ts";
import type { Settlement } from "../settling/settlements.ts";
import type { Call } from "./call.ts";

/** The call was made, or cannot be. */
export interface Ended {
  readonly kind: "ended";
  readonly outcome: Outcome;
  /** When the request was handed to the socket; before that, to its connection. Unix milliseconds. */
  readonly sentAtMs: number;
  readonly durationMs: number;
}

/** Where an attempt stands: it waits for a place, its call is on the wire (see exchange.ts), or that is over. */
export type AttemptState = { readonly kind: "waiting" } | { readonly kind: "onWire" } | Ended;

const waiting: AttemptState = { kind: "waiting" };

/** One call that an execution is owed: what waits for a place, and whose record it is afterwards. */
export class Attempt {
  call: Call;
  readonly executionId: string;
  readonly second: number;
  /** From 1. */
  readonly number: number;
  /** Changes hands while the call is on the wire: to the record of who runs it. */
  settlement: Settlement;
  /** The lane that its message lies in; undefined when it lies in none. */
  lane: LaneKind | undefined;
  /** Of an execution that was dead and is called again. */
  readonly redrive: Redrive | undefined;
  /** Whether it was moved to a lane before, or lay in RUNNING. */
  moved = false;
  /** When the state of its job was last known for sure, unix milliseconds; of what waits for long in a lane. */
  knownAtMs = Number.POSITIVE_INFINITY;
  /** The generation of its job by which it was found to be made. A manual run keeps what it was made of, and is not asked about again. */
  judgedGeneration = 0;
  /** When it began to wait for a place; monotonic. */
  queuedAtMs = 0;
  state: AttemptState = waiting;

  constructor(
    call: Call,
    executionId: string,
    second: number,
    number: number,
    settlement: Settlement,
    lane?: LaneKind,
    redrive?: Redrive,
  ) {
    this.call = call;
    this.executionId = executionId;
    this.second = second;
    this.number = number;
    this.settlement = settlement;
    this.lane = lane;
    this.redrive = redrive;
  }
}
