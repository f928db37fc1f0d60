import type { Watermark } from "../../services/wire/watermark.ts";
import type { Definitions, DueMessage, JobVersion, Timing } from "./model.ts";

/** Compares what was published with what the definitions ask for, computed by hand. */
export class Judge {
  readonly failures: string[] = [];
  published = 0;
  repeats = 0;
  unmarkedRepeats = 0;
  /** A clock was set by more than is waited out. */
  clocksStepped = false;
  #registry: Definitions | undefined;
  #isTrusted = (_second: number) => true;

  /** `isTrusted`: whether a new owner takes the sequence of a watermark of this second for one of the stream that it reads. */
  begin(registry: Definitions, isTrusted: (second: number) => boolean): void {
    this.#registry = registry;
    this.#isTrusted = isTrusted;
  }

  fail(what: string): void {
    // The first failures tell the story; a broken core makes thousands.
    if (this.failures.length < 10) this.failures.push(what);
  }

  describe(message: DueMessage): string {
    return message.entries.map((entry) => name(this.version(entry))).join(" ");
  }

  stored(message: DueMessage): void {
    for (const entry of message.entries) {
      const version = this.version(entry);
      const { timing } = version;
      const { second } = message;
      this.published++;
      const asked = timing.active && timing.occurrences.nextAfter(second - 1) === second;
      // To a clock that was set back a job took effect in the future: it counts from now then.
      const inEffect = second * 1000 > timing.effectiveFromMs || this.clocksStepped;
      if (!asked || !inEffect || timing.partition !== message.partition) {
        this.fail(`${name(version)} at ${second} was published and nobody asked for it`);
      }
      const times = (timing.published.get(second) ?? 0) + 1;
      timing.published.set(second, times);
      if (times === 1) continue;
      this.repeats++;
      if (!message.mayRepeat) this.unmarkedRepeats++;
    }
  }

  /** A watermark that anybody may start from must be true at the moment at which it is stored. */
  watermark(partition: number, watermark: Watermark | undefined, by: string): void {
    if (!watermark || !this.#isTrusted(watermark.second)) return;
    for (const timing of this.#registry?.timings ?? []) {
      if (timing.partition !== partition || !timing.active || timing.replacedAtMs !== undefined) continue;
      if (timing.sequence === undefined || timing.sequence > watermark.jobsSequence) continue;
      const missing = firstMissing(timing, watermark.second);
      if (missing === undefined) timing.verifiedTo = Math.max(timing.verifiedTo, watermark.second);
      else
        this.fail(
          `the watermark ${watermark.second}/${watermark.jobsSequence} of ${by} passed ${timing.jobId} at ${missing}`,
        );
    }
  }

  /**
   * At the end: every occurrence up to here was published. Those of a timing
   * that was replaced are owed too when `calm`: nothing kept the ticker from
   * publishing them before.
   */
  complete(untilSecond: number, calm: boolean): void {
    for (const timing of this.#registry?.timings ?? []) {
      if (!timing.active || timing.storedAtMs === undefined) continue;
      let until = untilSecond;
      if (timing.replacedAtMs !== undefined) {
        if (!calm) continue;
        until = Math.min(until, Math.floor((timing.replacedAtMs - 1_000) / 1000));
        if (until * 1000 < timing.storedAtMs + 1_000) continue;
      }
      const missing = firstMissing(timing, until);
      if (missing !== undefined)
        this.fail(`${timing.jobId} (timing ${timing.generation}) at ${missing} was never published`);
    }
  }

  version(entry: Uint8Array): JobVersion {
    const version = this.#registry?.versions.get(entry);
    if (!version) throw new Error("an entry that nobody made");
    return version;
  }
}

function firstMissing(timing: Timing, until: number): number | undefined {
  for (let second = timing.occurrences.nextAfter(timing.verifiedTo); second !== undefined && second <= until; ) {
    if (second * 1000 > timing.effectiveFromMs && !timing.published.has(second)) return second;
    second = timing.occurrences.nextAfter(second);
  }
  return undefined;
}

function name({ timing, generation }: JobVersion): string {
  return `${timing.jobId}/${timing.generation}/${generation}`;
}
