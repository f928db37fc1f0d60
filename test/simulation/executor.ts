import { type Call, decodeCall } from "../../services/executor/calls/call.ts";
import { createJobStates, type JobStates } from "../../services/executor/verdict/job-states.ts";
import { createLog } from "../../services/platform/process/log.ts";
import { generationOf } from "../../services/wire/job-event.ts";
import type { SimulatedBroker } from "./broker.ts";
import type { Judge } from "./judge.ts";
import { type Network, SimulatedMachine } from "./machine.ts";
import type { DueMessage } from "./model.ts";
import type { Dice } from "./random.ts";
import type { Timeline } from "./timeline.ts";

const log = createLog("simulation", "silent");

/**
 * An executor that takes in what is stored in DUE, holds it until its second, and calls or skips.
 * Its verdict is the real one, on the changes that it has heard of.
 */
export class SimulatedExecutor extends SimulatedMachine {
  readonly #broker: SimulatedBroker;
  readonly #judge: Judge;
  #states: JobStates;
  /** The newest generation of each job that it has heard of. */
  #heard = new Map<string, number>();
  readonly #calls = new WeakMap<Uint8Array, Call>();
  /** What history has recorded. */
  readonly #recorded = new Set<string>();

  constructor(world: { timeline: Timeline; broker: SimulatedBroker; judge: Judge; dice: Dice; network: Network }) {
    super(world);
    this.#broker = world.broker;
    this.#judge = world.judge;
    this.#states = this.#noStates();
    world.broker.onDue = (message) => this.#take(message);
  }

  start(): void {
    this.setConnected(true);
    this.#states = this.#noStates();
    this.#heard = new Map();
    const begunAfter = this.#broker.jobs.lastSequence;
    const { era } = this.#broker.jobs;
    this.read(
      this.#broker.jobs,
      () => true,
      (key, event, sequence) => {
        // It follows changes alone, of a stream that it has not seen before all.
        if (this.#broker.jobs.era !== era || sequence > begunAfter) this.#note(jobIdOf(key), event);
      },
      () => this.#states.markFollowed(),
      (_, another) => another && this.#states.markLost(),
    );
  }

  /** Forgets all that it has heard of. What it had taken in comes to another one like it. */
  restart(): void {
    this.die();
    this.start();
  }

  #noStates(): JobStates {
    const { timeline } = this;
    return createJobStates({
      log,
      clock: { nowMs: () => timeline.nowMs, monotonicMs: () => timeline.nowMs, after: () => () => undefined },
    });
  }

  #note(jobId: string, event: Uint8Array): void {
    this.#states.note(jobId, event);
    this.#heard.set(jobId, Math.max(this.#heard.get(jobId) ?? 0, generationOf(event)));
  }

  #take(message: DueMessage): void {
    const { timeline } = this;
    const takenAtMs = timeline.nowMs + this.dice.between(1, 30);
    timeline.at(Math.max(message.second * 1000, takenAtMs), () => {
      for (const entry of message.entries) this.#judgeCall(this.#callOf(entry), message);
    });
    timeline.at(takenAtMs, () => {
      for (const entry of message.entries) {
        // Published before its changes were followed, it is looked up.
        const { jobId } = this.#callOf(entry);
        const state = this.#broker.jobs.last(`${message.partition}.${jobId}`)?.value;
        if (takenAtMs < this.#states.completeSinceMs() && state) this.#note(jobId, state);
      }
    });
  }

  #judgeCall(call: Call, { second, mayRepeat }: DueMessage): void {
    const { jobId, generation } = call;
    const id = `${jobId}-${second}`;
    if (mayRepeat && this.#recorded.has(id)) return;
    if (this.#states.judge({ call, second, started: false }).kind === "skip") return;
    this.#recorded.add(id);
    this.#judge.calledAt(jobId, second, Math.max(generation, this.#heard.get(jobId) ?? 0));
  }

  #callOf(entry: Uint8Array): Call {
    const known = this.#calls.get(entry);
    if (known) return known;
    const call = decodeCall(entry);
    this.#calls.set(entry, call);
    return call;
  }
}

function jobIdOf(key: string): string {
  return key.slice(key.indexOf(".") + 1);
}
