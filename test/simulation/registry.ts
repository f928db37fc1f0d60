import { create } from "@bufbuild/protobuf";
import { JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { defineJob } from "../../services/registry/jobs/job-definition.ts";
import { changedJob, encodeRow, newJob, type StoredJob } from "../../services/registry/jobs/stored-job.ts";
import { encodeRowEvent } from "../../services/registry/relay/row-event.ts";
import { type StoredState, storedState } from "../../services/registry/store/contract.ts";
import { jobNamed } from "../support/job-ids.ts";
import type { SimulatedBroker } from "./broker.ts";
import type { Definition, Definitions, DueSeconds, Timing } from "./model.ts";
import type { Dice } from "./random.ts";
import type { Timeline } from "./timeline.ts";

interface SimulatedDefinition extends Definition {
  stored: StoredJob;
  /** The last generation that JOBS was told. */
  told: number;
}

// What an event of a timing of an earlier stream says.
const earlierStreamSequence = 1;

export interface RegistryHabits {
  /** Jobs that are created at once at the start. */
  crowd: number;
  /** Jobs and changes of the run. */
  changes: number;
  changesEndMs: number;
  /** Most changes are timings, and fall around a second. */
  edits: boolean;
  /** How far the registry's clock is off. */
  skewMs: number;
  relayMs: { usual: number; worst: number };
  partitions: number;
}

/**
 * Users who create, change, pause, resume and delete jobs, and the relay that tells JOBS. What
 * becomes of a job, and what an event says of it, is the registry's own.
 */
export class SimulatedRegistry implements Definitions {
  readonly jobs = new Map<string, SimulatedDefinition>();
  readonly counts = { edits: 0, pauses: 0, deletions: 0 };
  #relayFreeAtMs = 0;
  #edition = 1;

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
    const { crowd, changes, changesEndMs, edits } = this.#habits;
    for (let job = 0; job < crowd; job++) this.#create();
    const spanMs = changesEndMs - timeline.nowMs;
    for (let change = 0; change < changes; change++) {
      const atMs = timeline.nowMs + Math.floor(dice.next() * spanMs);
      timeline.at(edits ? Math.round(atMs / 1000) * 1000 + dice.between(-400, 400) : atMs, () => this.#change());
    }
  }

  /** JOBS is another stream: what was published goes out again, bit by bit, behind what waits already. */
  refill(): void {
    const timeline = this.#timeline;
    const dice = this.#dice;
    this.#edition++;
    let atMs = Math.max(this.#relayFreeAtMs, timeline.nowMs) + dice.between(0, 1_500);
    for (const job of this.jobs.values()) {
      for (const timing of job.timings) if (timing.sequence !== undefined) timing.sequence = earlierStreamSequence;
      // What was never published comes by itself.
      if (job.stored.state === storedState.deleted || job.stored.timingSequence === 0) continue;
      atMs += dice.between(0, 150);
      timeline.at(atMs, () => this.#tell(job, job.stored));
    }
    this.#relayFreeAtMs = atMs;
  }

  #change(): void {
    const dice = this.#dice;
    const { edits } = this.#habits;
    const alive = [...this.jobs.values()].filter(({ stored }) => stored.state !== storedState.deleted);
    if (alive.length === 0 || dice.chance(edits ? 0.1 : 0.35)) {
      this.#create();
      return;
    }
    const job = dice.pick(alive);
    const { state } = job.stored;
    const kind = edits ? dice.pick([0, 4, 4, 4, 4, 4, 4, 6, 9]) : dice.between(0, 9);
    if (kind < 4) this.#commit(job, { retimed: false });
    else if (kind < 6) this.#edit(job);
    else if (kind < 9) this.#turn(job, state === storedState.paused ? storedState.active : storedState.paused);
    else this.#turn(job, storedState.deleted);
    // A second change right behind: the stream may drop the first before it was read.
    if (job.stored.state !== storedState.deleted && dice.chance(0.3)) {
      if (edits && dice.chance(0.5)) this.#edit(job);
      else this.#commit(job, { retimed: false });
    }
  }

  #create(): void {
    const jobId = jobNamed(`j${this.jobs.size}`);
    const nowMs = this.#nowMs();
    const due = this.#dueSeconds(Math.floor(nowMs / 1000));
    const definition = defineJob(
      create(JobSchema, { schedule: due.schedule, apiEndpoint: "http://127.0.0.1/", type: 1 }),
    );
    const partition = this.#dice.between(0, this.#habits.partitions - 1);
    const stored = newJob(jobId, definition, nowMs);
    const job = { jobId, partition, timings: [], called: new Set<number>(), stored, told: 0 };
    this.jobs.set(jobId, job);
    this.#noteTiming(job, due);
    this.#relay(job);
  }

  #edit(job: SimulatedDefinition): void {
    this.counts.edits++;
    const due = this.#dueSeconds(Number(job.stored.job.createdAt?.seconds));
    const definition = { ...job.stored.job, schedule: due.schedule };
    this.#commit(job, { retimed: true, definition }, due);
  }

  #turn(job: SimulatedDefinition, state: StoredState): void {
    if (state === storedState.paused) this.counts.pauses++;
    if (state === storedState.deleted) this.counts.deletions++;
    this.#commit(job, { retimed: true, state }, job.timings.at(-1)?.due);
  }

  #commit(job: SimulatedDefinition, change: Omit<Parameters<typeof changedJob>[1], "nowMs">, due?: DueSeconds): void {
    job.stored = changedJob(job.stored, { ...change, nowMs: this.#nowMs() });
    if (due) this.#noteTiming(job, due);
    this.#relay(job);
  }

  #noteTiming(job: SimulatedDefinition, due: DueSeconds): void {
    const { jobId, partition, timings } = job;
    const { generation, effectiveFromMs, state } = job.stored;
    const active = state === storedState.active;
    const before = timings.at(-1);
    if (before) before.untilMs = effectiveFromMs;
    if (!active) for (const timing of timings) timing.ended = true;
    timings.push({
      jobId,
      partition,
      due,
      generation,
      active,
      effectiveFromMs,
      untilMs: Number.POSITIVE_INFINITY,
      ended: false,
      published: new Map(),
      verifiedTo: Math.floor(effectiveFromMs / 1000),
    });
  }

  #dueSeconds(createdSecond: number): DueSeconds {
    const every = this.#dice.pick([1, 1, 1, 2, 3, 5, 7]);
    if (this.#dice.chance(0.1)) {
      const at = Math.floor(this.#nowMs() / 1000) + this.#dice.between(0, 8);
      const schedule = `@at ${new Date(at * 1000).toISOString()}`;
      return { schedule, nextAfter: (second) => (second < at ? at : undefined) };
    }
    // Counted from the creation, where it does not divide a minute.
    const phase = every === 7 ? createdSecond % 7 : 0;
    const schedule = every === 7 ? "@every 7s" : `*/${every} * * * * *`;
    return { schedule, nextAfter: (second) => (Math.floor((second - phase) / every) + 1) * every + phase };
  }

  /** The relay publishes one after the other: what a job was then, or what it has become since. */
  #relay(job: SimulatedDefinition): void {
    const timeline = this.#timeline;
    const dice = this.#dice;
    const { relayMs } = this.#habits;
    const { stored } = job;
    const delayMs = dice.chance(0.05) ? dice.between(0, relayMs.worst) : dice.between(1, relayMs.usual);
    this.#relayFreeAtMs = Math.max(this.#relayFreeAtMs, timeline.nowMs + delayMs);
    timeline.at(this.#relayFreeAtMs, () => {
      const told = dice.chance(0.5) ? job.stored : stored;
      if (told.generation > job.told) this.#tell(job, told);
    });
  }

  #tell(job: SimulatedDefinition, given: StoredJob): void {
    const { jobs } = this.#broker;
    const { timings, partition, jobId, stored } = job;
    // Of an older state the receipt of its timing may have come meanwhile.
    const { timingSequence, timingEdition } = stored;
    const current = given.timingGeneration === stored.timingGeneration ? { timingSequence, timingEdition } : {};
    const row = { ...given, ...current };
    const sequence = jobs.append(`${partition}.${jobId}`, encodeRowEvent(encodeRow(row), this.#edition));
    job.told = Math.max(job.told, row.generation);
    for (const timing of timings) if (timing.generation <= row.generation) this.#noteStored(timing, sequence);
    if (row.timingSequence !== 0 || row.timingGeneration !== stored.timingGeneration) return;
    // The receipt is written down.
    job.stored = { ...stored, timingSequence: sequence, timingEdition: this.#edition };
  }

  #noteStored(timing: Timing, sequence: number): void {
    timing.storedAtMs ??= this.#timeline.nowMs;
    timing.sequence ??= sequence;
  }

  #nowMs(): number {
    return this.#timeline.nowMs + this.#habits.skewMs;
  }
}
