import { type DueEntry, readDueEntry } from "../../services/wire/due-entry.ts";
import type { Watermark } from "../../services/wire/watermark.ts";
import { type Definition, type Definitions, type DueMessage, type Timing, timingAt } from "./model.ts";

/** Compares what was published and called with what the definitions ask for, computed by hand. */
export class Judge {
  readonly failures: string[] = [];
  published = 0;
  repeats = 0;
  unmarkedRepeats = 0;
  called = 0;
  /** A clock was set by more than is waited out. */
  clocksStepped = false;
  #definitions: Definitions | undefined;
  #isTrusted = (_second: number) => true;
  readonly #entries = new WeakMap<Uint8Array, DueEntry>();

  /** `isTrusted`: whether a new owner takes the sequence of a watermark of this second for one of the stream that it reads. */
  begin(definitions: Definitions, isTrusted: (second: number) => boolean): void {
    this.#definitions = definitions;
    this.#isTrusted = isTrusted;
  }

  fail(what: string): void {
    // The first failures tell the story; a broken core makes thousands.
    if (this.failures.length < 10) this.failures.push(what);
  }

  describe(message: DueMessage): string {
    return message.entries.map((entry) => name(this.entry(entry))).join(" ");
  }

  stored(message: DueMessage): void {
    for (const bytes of message.entries) {
      const entry = this.entry(bytes);
      const { second } = message;
      const job = this.#job(entry.jobId);
      this.published++;
      const timing = this.#askedBy(job, second, entry.generation);
      if (!timing || job.partition !== message.partition) {
        this.fail(`${name(entry)} at ${second} was published and nobody asked for it`);
        continue;
      }
      const times = (timing.published.get(second) ?? 0) + 1;
      timing.published.set(second, times);
      if (times === 1) continue;
      this.repeats++;
      if (!message.mayRepeat) this.unmarkedRepeats++;
    }
  }

  /** A call begins, by an executor that knows the job up to a generation. */
  calledAt(jobId: string, second: number, generation: number): void {
    const job = this.#job(jobId);
    this.called++;
    job.called.add(second);
    if (!this.#askedBy(job, second, generation))
      this.fail(`${jobId} at ${second} was called, which is forbidden since generation ${generation}`);
  }

  /** A watermark that anybody may start from must be true at the moment at which it is stored. */
  watermark(partition: number, watermark: Watermark | undefined, by: string): void {
    if (!watermark || !this.#isTrusted(watermark.second)) return;
    for (const job of this.#definitions?.jobs.values() ?? []) {
      if (job.partition !== partition) continue;
      for (const timing of job.timings) {
        if (!timing.active || timing.ended) continue;
        if (timing.sequence === undefined || timing.sequence > watermark.jobsSequence) continue;
        const until = Math.min(watermark.second, Math.floor(timing.untilMs / 1000));
        if (timing.verifiedTo >= until) continue;
        const missing = this.#firstMissing(timing, until);
        if (missing === undefined) timing.verifiedTo = until;
        else
          this.fail(
            `the watermark ${watermark.second}/${watermark.jobsSequence} of ${by} passed ${timing.jobId} at ${missing}`,
          );
      }
    }
  }

  /**
   * At the end: every occurrence up to here was called. What came before a pause is owed only when
   * `calm`: nothing kept it from being called before.
   */
  complete(untilSecond: number, calm: boolean): void {
    for (const { timings, called } of this.#definitions?.jobs.values() ?? []) {
      for (const [place, timing] of timings.entries()) {
        if (!timing.active || (timing.ended && !calm)) continue;
        const pause = timings.find((later, index) => index > place && !later.active);
        const missing = firstNotCalled(timing, called, untilSecond, pause);
        if (missing !== undefined)
          this.fail(`${timing.jobId} (timing ${timing.generation}) at ${missing} was never called`);
      }
    }
  }

  entry(bytes: Uint8Array): DueEntry {
    const known = this.#entries.get(bytes);
    if (known) return known;
    const entry = readDueEntry(bytes);
    this.#entries.set(bytes, entry);
    return entry;
  }

  #job(jobId: string): Definition {
    const job = this.#definitions?.jobs.get(jobId);
    if (!job) throw new Error(`${jobId} is a job that nobody made`);
    return job;
  }

  #askedBy(job: Definition, second: number, generation: number): Timing | undefined {
    const asked = timingAt(job, second, generation);
    if (asked || !this.clocksStepped) return asked;
    // To a clock that was set back a job took effect in the future: it counts from now then.
    const asks = ({ active, due }: Timing) => active && due.nextAfter(second - 1) === second;
    return job.timings.findLast((timing) => timing.generation <= generation && asks(timing));
  }

  #firstMissing(timing: Timing, until: number): number | undefined {
    for (const second of secondsOf(timing, timing.verifiedTo, until)) if (!timing.published.has(second)) return second;
    return undefined;
  }
}

// What is due so shortly before a pause may be stopped by it.
const pausedSoonMs = 1_500;

function firstNotCalled(
  timing: Timing,
  called: ReadonlySet<number>,
  untilSecond: number,
  pause: Timing | undefined,
): number | undefined {
  const until = Math.min(untilSecond, Math.floor(timing.untilMs / 1000));
  for (const second of secondsOf(timing, Math.floor(timing.effectiveFromMs / 1000), until)) {
    if (called.has(second)) continue;
    const knownAtMs = Math.max(second * 1000, timing.storedAtMs ?? Number.POSITIVE_INFINITY);
    if (!pause || knownAtMs + pausedSoonMs <= (pause.storedAtMs ?? 0)) return second;
  }
  return undefined;
}

function* secondsOf(timing: Timing, after: number, until: number): Generator<number> {
  let second = timing.due.nextAfter(after);
  for (; second !== undefined && second <= until; second = timing.due.nextAfter(second)) {
    if (second * 1000 > timing.effectiveFromMs) yield second;
  }
}

function name({ jobId, generation }: DueEntry): string {
  return `${jobId}/${generation}`;
}
