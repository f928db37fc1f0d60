import type { DueBatch } from "../../wire/due-batch.ts";
import type { PartitionClaim } from "../../wire/partition-claim.ts";
import type { Tick } from "../../wire/tick.ts";
import type { Notice } from "./notice.ts";

/** A batch that is to be published. */
export interface DueMessage extends DueBatch {
  /** A hash over each (job, generation) in it, for the message id. */
  contents: string;
}

/** What is to be done. An `id` ties it to its answer. */
export type TickerEffect =
  | ({ kind: "publish-due"; id: number } & DueMessage)
  | { kind: "publish-tick"; id: number; tick: Tick }
  /** Is stored only when `revision` is still the last of the partition; 0 says that there is none. */
  | { kind: "write-claim"; id: number; partition: number; claim: PartitionClaim; revision: number }
  | { kind: "read-claims"; id: number; partitions: number[] }
  | { kind: "read-last-tick"; ticker: string }
  /** Remove its ticks up to this sequence, and read its last one then. */
  | { kind: "forget-ticks"; ticker: string; sequence: number }
  /** Read JOBS for these partitions: the last state, then each change. */
  | { kind: "follow"; followId: number; partitions: number[] }
  | { kind: "unfollow"; followId: number; partition: number }
  | { kind: "notice"; notice: Notice };

/** Takes the effects of the core's parts. */
export interface EffectSink {
  newId(): number;
  emit(effect: TickerEffect): void;
}

/** Collects what is to be done until whoever drives the core takes it. */
export class Effects implements EffectSink {
  #list: TickerEffect[] = [];
  #lastId = 0;

  newId(): number {
    return ++this.#lastId;
  }

  emit(effect: TickerEffect): void {
    this.#list.push(effect);
  }

  take(): TickerEffect[] {
    const list = this.#list;
    this.#list = [];
    return list;
  }
}
