import { QueueBySecond } from "./queue-by-second.ts";

/** The seconds at which something is due. Equal keys mean equal seconds. */
export interface Occurrences {
  readonly key: string;
  /** The first due second > second; undefined when there is none. */
  nextAfter(second: number): number | undefined;
}

/** A job's place in the timetable. There is one for each of a million jobs: keep it small. */
export interface Slot {
  readonly jobId: string;
  /** What is published for an occurrence; opaque here. */
  entry: Uint8Array;
  generation: number;
  readonly timingGeneration: number;
  /** Occurrences strictly after this instant are due. */
  effectiveFromMs: number;
  readonly group: Group;
  /** The place among the group's slots; -1 once the job has left the timetable. */
  index: number;
  /** What stands in its place. Left out of those that stand themselves: it costs them nothing. */
  heir?: Heir;
}

/** The slot of a job after an edit: occurrences up to an instant stay owed, and go out with its entry. */
export interface Heir {
  readonly slot: Slot;
  readonly untilMs: number;
}

/** The slot that an occurrence goes out with by now; undefined when nobody owes it any more. */
export function standing(slot: Slot, second: number): Slot | undefined {
  let found = slot;
  while (found.index < 0) {
    if (!found.heir || second * 1000 > found.heir.untilMs) return undefined;
    found = found.heir.slot;
  }
  return found;
}

/** All jobs of one schedule: they share its computation. */
export interface Group {
  readonly occurrences: Occurrences;
  readonly slots: Slot[];
  /** The first occurrence after the timetable's horizon. */
  next: number | undefined;
}

export interface SlotDefinition {
  jobId: string;
  entry: Uint8Array;
  generation: number;
  timingGeneration: number;
  effectiveFromMs: number;
  occurrences: Occurrences;
}

/**
 * The jobs of a partition by the second at which they are next due. The work for
 * a second is proportional to what is due in it, never to the number of jobs.
 *
 * The horizon is the last second that was taken out. Only `rewind` moves it back.
 */
export class Timetable {
  readonly #slots = new Map<string, Slot>();
  readonly #groups = new Map<string, Group>();
  #due = new QueueBySecond<Group>();
  #horizon: number;

  constructor(horizon: number) {
    this.#horizon = horizon;
  }

  get horizon(): number {
    return this.#horizon;
  }

  get size(): number {
    return this.#slots.size;
  }

  get(jobId: string): Slot | undefined {
    return this.#slots.get(jobId);
  }

  jobIds(): Iterable<string> {
    return this.#slots.keys();
  }

  /**
   * Puts a job in, in place of what it was before. Its occurrences up to the horizon are left to the caller.
   * What was taken out of it before, up to `owedUntilMs`, stays owed.
   */
  put(definition: SlotDefinition, owedUntilMs?: number): Slot {
    const before = this.#slots.get(definition.jobId);
    this.remove(definition.jobId);
    const group = this.#groupOf(definition.occurrences);
    const slot: Slot = {
      jobId: definition.jobId,
      entry: definition.entry,
      generation: definition.generation,
      timingGeneration: definition.timingGeneration,
      effectiveFromMs: definition.effectiveFromMs,
      group,
      index: group.slots.length,
    };
    group.slots.push(slot);
    this.#slots.set(slot.jobId, slot);
    if (before && owedUntilMs !== undefined) before.heir = { slot, untilMs: owedUntilMs };
    return slot;
  }

  remove(jobId: string): void {
    const slot = this.#slots.get(jobId);
    if (!slot) return;
    this.#slots.delete(jobId);
    const { group } = slot;
    // The last slot moves into the gap: order within a second means nothing.
    const last = group.slots.pop();
    if (last && last !== slot) {
      group.slots[slot.index] = last;
      last.index = slot.index;
    }
    slot.index = -1;
    if (group.slots.length > 0) return;
    this.#groups.delete(group.occurrences.key);
    if (group.next !== undefined) this.#due.remove(group.next, group);
  }

  /** The first second after the horizon in which something may be due. */
  nextSecond(): number | undefined {
    return this.#due.first();
  }

  /** Takes out the next due second and moves the horizon to it. */
  take(): { second: number; slots: Slot[] } | undefined {
    const taken = this.#due.take();
    if (!taken) return undefined;
    const { second } = taken;
    const slots: Slot[] = [];
    this.#horizon = second;
    for (const group of taken.items) {
      for (const slot of group.slots) if (second * 1000 > slot.effectiveFromMs) slots.push(slot);
      this.#schedule(group, second);
    }
    return { second, slots };
  }

  /** Moves the horizon over seconds in which nothing is due. */
  skipTo(second: number): void {
    const next = this.nextSecond();
    if (next !== undefined && next <= second) throw new Error(`second ${next} is due and would be skipped`);
    if (second > this.#horizon) this.#horizon = second;
  }

  /** Moves the horizon back: what comes after it is taken out again. */
  rewind(second: number): void {
    if (second >= this.#horizon) return;
    this.#horizon = second;
    this.#due = new QueueBySecond();
    for (const group of this.#groups.values()) this.#schedule(group, second);
  }

  /** Brings jobs that would take effect much later than a second back to it. */
  takeEffectAt(second: number, toleratedSeconds: number): void {
    const latestMs = (second + toleratedSeconds) * 1000;
    for (const slot of this.#slots.values()) if (slot.effectiveFromMs > latestMs) slot.effectiveFromMs = second * 1000;
  }

  #groupOf(occurrences: Occurrences): Group {
    const known = this.#groups.get(occurrences.key);
    if (known) return known;
    const group: Group = { occurrences, slots: [], next: undefined };
    this.#groups.set(occurrences.key, group);
    this.#schedule(group, this.#horizon);
    return group;
  }

  #schedule(group: Group, after: number): void {
    group.next = group.occurrences.nextAfter(after);
    if (group.next !== undefined) this.#due.add(group.next, group);
  }
}
