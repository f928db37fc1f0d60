import { QueueBySecond } from "./queue-by-second.ts";
import type { Slot } from "./timetable.ts";

/** A job and the last second up to which its late occurrences are owed. */
interface LateJob {
  slot: Slot;
  untilSecond: number;
}

/** Occurrences behind the horizon that are still to go out: their timing was not known in time. */
export class LateQueue {
  #queue = new QueueBySecond<LateJob>();

  get size(): number {
    return this.#queue.size;
  }

  /** Adds a job's occurrences strictly after an instant, up to a second. */
  add(slot: Slot, afterMs: number, untilSecond: number): void {
    const first = slot.group.occurrences.nextAfter(Math.floor(afterMs / 1000));
    if (first !== undefined && first <= untilSecond) this.#queue.add(first, { slot, untilSecond });
  }

  first(): number | undefined {
    return this.#queue.first();
  }

  /** Takes out the earliest second. */
  take(): { second: number; slots: Slot[] } | undefined {
    const taken = this.#queue.take();
    if (!taken) return undefined;
    const slots: Slot[] = [];
    for (const job of taken.items) {
      // The job has left the timetable meanwhile.
      if (job.slot.index < 0) continue;
      slots.push(job.slot);
      const next = job.slot.group.occurrences.nextAfter(taken.second);
      if (next !== undefined && next <= job.untilSecond) this.#queue.add(next, job);
    }
    return { second: taken.second, slots };
  }

  /** Drops what comes after a second: the horizon went back to it, and the timetable hands that out again. */
  endAt(second: number): void {
    const kept = new QueueBySecond<LateJob>();
    for (let taken = this.#queue.take(); taken && taken.second <= second; taken = this.#queue.take()) {
      for (const { slot, untilSecond } of taken.items) {
        kept.add(taken.second, { slot, untilSecond: Math.min(untilSecond, second) });
      }
    }
    this.#queue = kept;
  }
}
