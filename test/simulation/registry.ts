import type { Occurrences } from "../../services/ticker/core/timetable.ts";
import type { SimulatedBroker } from "./broker.ts";
import type { Definitions, JobVersion, Timing } from "./model.ts";
import type { Dice } from "./random.ts";
import type { Timeline } from "./timeline.ts";

interface SimulatedDefinition {
  current: JobVersion;
  deleted: boolean;
}

// What the real one writes for a timing of an earlier stream.
const earlierStreamSequence = 1;

export interface RegistryHabits {
  /** Jobs that are created at once at the start. */
  crowd: number;
  /** Jobs and changes of the run. */
  changes: number;
  changesEndMs: number;
  /** How far the registry's clock is off. */
  skewMs: number;
  relayMs: { usual: number; worst: number };
  partitions: number;
}

/** Users who create, change, pause, resume and delete jobs, and the relay that tells JOBS. */
export class SimulatedRegistry implements Definitions {
  readonly timings: Timing[] = [];
  readonly versions = new Map<Uint8Array, JobVersion>();
  readonly #jobs: SimulatedDefinition[] = [];
  #relayFreeAtMs = 0;

  readonly #timeline: Timeline;
  readonly #broker: SimulatedBroker;
  readonly #dice: Dice;
  readonly #habits: RegistryHabits;

  constructor(timeline: Timeline, broker: SimulatedBroker, dice: Dice, habits: RegistryHabits) {
    this.#timeline = timeline;
    this.#broker = broker;
    this.#dice = dice;
    this.#habits = habits;
  }

  start(): void {
    const timeline = this.#timeline;
    const dice = this.#dice;
    const habits = this.#habits;
    for (let job = 0; job < habits.crowd; job++) this.#create();
    const spanMs = habits.changesEndMs - timeline.nowMs;
    for (let change = 0; change < habits.changes; change++) {
      timeline.after(Math.floor(dice.next() * spanMs), () => this.#change());
    }
  }

  /** JOBS is another stream: what was published goes out again, bit by bit, behind what waits already. */
  refill(): void {
    const timeline = this.#timeline;
    const dice = this.#dice;
    for (const timing of this.timings) if (timing.sequence !== undefined) timing.sequence = earlierStreamSequence;
    let atMs = Math.max(this.#relayFreeAtMs, timeline.nowMs) + dice.between(0, 1_500);
    for (const { current, deleted } of this.#jobs) {
      const { timing } = current;
      // What was never published comes by itself.
      if (deleted || timing.sequence === undefined) continue;
      atMs += dice.between(0, 150);
      timeline.at(atMs, () => {
        const { era } = this.#broker.jobs;
        this.#broker.jobs.append(`${timing.partition}.${timing.jobId}`, {
          version: current,
          timingSequence: timing.sequence ?? era,
        });
      });
    }
    this.#relayFreeAtMs = atMs;
  }

  #change(): void {
    const dice = this.#dice;
    const jobs = this.#jobs;
    const alive = jobs.filter((job) => !job.deleted);
    if (alive.length === 0 || dice.chance(0.35)) {
      this.#create();
      return;
    }
    const job = dice.pick(alive);
    const { timing, generation } = job.current;
    const kind = dice.between(0, 9);
    if (kind < 4) this.#commit(job, { timing, generation: generation + 1, entry: new Uint8Array(1) });
    else if (kind < 6) this.#retime(job, this.#occurrences(), true);
    else if (kind < 8) this.#retime(job, timing.occurrences, !timing.active);
    else {
      job.deleted = kind === 9;
      this.#retime(job, timing.occurrences, kind !== 9);
    }
    // A second change right behind: the stream may drop the first before it was read.
    if (!job.deleted && dice.chance(0.3)) {
      const next = { timing: job.current.timing, generation: job.current.generation + 1, entry: new Uint8Array(1) };
      this.#commit(job, next);
    }
  }

  #create(): void {
    const jobId = `job-${this.#jobs.length}`;
    const partition = this.#dice.between(0, this.#habits.partitions - 1);
    const timing = this.#timing(jobId, partition, this.#occurrences(), 1, true);
    const job = { current: { timing, generation: 1, entry: new Uint8Array(1) }, deleted: false };
    this.#jobs.push(job);
    this.#commit(job, job.current);
  }

  #retime(job: SimulatedDefinition, occurrences: Occurrences, active: boolean): void {
    const { jobId, partition } = job.current.timing;
    const generation = job.current.generation + 1;
    const timing = this.#timing(jobId, partition, occurrences, generation, active);
    this.#commit(job, { timing, generation, entry: new Uint8Array(1) });
  }

  #timing(jobId: string, partition: number, occurrences: Occurrences, generation: number, active: boolean): Timing {
    const effectiveFromMs = this.#timeline.nowMs + this.#habits.skewMs;
    const verifiedTo = Math.floor(effectiveFromMs / 1000);
    const timing = {
      jobId,
      partition,
      occurrences,
      effectiveFromMs,
      generation,
      active,
      published: new Map(),
      verifiedTo,
    };
    this.timings.push(timing);
    return timing;
  }

  #occurrences(): Occurrences {
    const now = Math.floor(this.#timeline.nowMs / 1000);
    const every = this.#dice.pick([1, 1, 1, 2, 3, 5, 7]);
    if (this.#dice.chance(0.1)) {
      const at = now + this.#dice.between(0, 8);
      return { key: `at-${at}`, nextAfter: (second) => (second < at ? at : undefined) };
    }
    return { key: `every-${every}`, nextAfter: (second) => (Math.floor(second / every) + 1) * every };
  }

  /** The relay publishes in order; it knows the sequence of what it published before. */
  #commit(job: SimulatedDefinition, version: JobVersion): void {
    const timeline = this.#timeline;
    const dice = this.#dice;
    const habits = this.#habits;
    const { jobs } = this.#broker;
    const before = job.current.timing;
    job.current = version;
    this.versions.set(version.entry, version);
    const delayMs = dice.chance(0.05) ? dice.between(0, habits.relayMs.worst) : dice.between(1, habits.relayMs.usual);
    this.#relayFreeAtMs = Math.max(this.#relayFreeAtMs, timeline.nowMs + delayMs);
    timeline.at(this.#relayFreeAtMs, () => {
      const { timing } = version;
      const sequence = jobs.append(`${timing.partition}.${timing.jobId}`, {
        version,
        timingSequence: timing.sequence ?? jobs.lastSequence + 1,
      });
      if (timing.sequence !== undefined) return;
      timing.sequence = sequence;
      timing.storedAtMs = timeline.nowMs;
      if (before !== timing) before.replacedAtMs = timeline.nowMs;
    });
  }
}
