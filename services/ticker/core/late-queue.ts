import { QueueBySecond } from "./queue-by-second.ts";
import { type Occurrences, type Slot, standing } from "./timetable.ts";

/** Occurrences of a job that are to go out late, up to a second. */
interface LateJob {
  slot: Slot;
  /** Those of the slot's timing, or of one that the job had before. */
  occurrences: Occurrences;
  untilSecond: number;
}

/** Occurrences behind the horizon that are still to go out: their timing was not known in time. */
export class LateQueue {
  #queue = new QueueBySecond<LateJob>();

  /** Adds a job's occurrences strictly after an instant, up to a second. */
  add(slot: Slot, occurrences: Occurrences, afterMs: number, untilSecond: number): void {
    const first = occurrences.nextAfter(Math.floor(afterMs / 1000));
    if (first !== undefined && first <= untilSecond) this.#queue.add(first, { slot, occurrences, untilSecond });
  }

  first(): number | undefined {
    return this.#queue.first();
  }

  /** Takes out the earliest second. */
  take(): { second: number; slots: Slot[] } | undefined {
    const taken = this.#queue.take();
    if (!taken) return undefined;
    const { second } = taken;
    const slots: Slot[] = [];
    for (const job of taken.items) {
      const slot = standing(job.slot, second);
      // The job has left the timetable meanwhile.
      if (!slot) continue;
      slots.push(slot);
      const next = job.occurrences.nextAfter(second);
      if (next !== undefined && next <= job.untilSecond) this.#queue.add(next, job);
    }
    return { second, slots };
  }

  /** Drops what comes after a second: the horizon went back to it, and it is handed out again. */
  endAt(second: number): void {
    const kept = new QueueBySecond<LateJob>();
    for (let taken = this.#queue.take(); taken && taken.second <= second; taken = this.#queue.take()) {
      for (const job of taken.items) kept.add(taken.second, { ...job, untilSecond: Math.min(job.untilSecond, second) });
    }
    this.#queue = kept;
  }
}
