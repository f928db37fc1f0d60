import { LRUCache } from "lru-cache";
import { parseSource, type Source } from "./schedule-source.ts";
import { zoneTable } from "./zone-table.ts";

/**
 * When a job is due. All times are whole unix seconds.
 *
 * Equal keys mean equal occurrences, and schedules of equal key are (as long as they are in use)
 * the same object: jobs that share a schedule share its computation.
 */
export interface Schedule {
  readonly kind: "cron" | "interval" | "once";
  readonly key: string;
  /**
   * The first occurrence strictly after `second`; undefined when there is none, up to the year
   * 2999. Cheap when asked in order: the last answer is remembered.
   */
  nextAfter(second: number): number | undefined;
}

export interface ScheduleOptions {
  /** An IANA name; '' is UTC. Cron patterns are read on that zone's wall clock. */
  readonly timeZone: string;
  /** What `H` hashes. */
  readonly jobId: string;
  /**
   * Where `@every` counts from: the job's creation, rounded down to the second. The grid has no
   * beginning; the job's `effective_from` says from where on occurrences are due, as for cron.
   * With a start, that is the anchor instead, and the first occurrence.
   */
  readonly anchorSecond: number;
  /** Inclusive: an occurrence on this very second is due. */
  readonly startSecond?: number | undefined;
  /** Exclusive: an occurrence on this very second is not due any more. */
  readonly endSecond?: number | undefined;
}

export type ParsedSchedule =
  | { readonly ok: true; readonly schedule: Schedule }
  | {
      readonly ok: false;
      readonly field: ScheduleField;
      readonly reason: string;
    };

export type ScheduleField = "schedule" | "time_zone" | "start_time" | "end_time";

const maxTextChars = 512;
/** 2999-12-31T23:59:59Z: croner walks no further, and so nothing is due later. */
const lastSecond = 32_503_679_999;
/** 9999-12-31T23:59:59Z, the end of a protobuf Timestamp: an end_time that means "never". */
const lastEndSecond = 253_402_300_799;
const maxShared = 16_384;

const shared = new LRUCache<string, Schedule>({ max: maxShared });

/** Reads a schedule. Each form has its file: cron-pattern.ts and cron-field.ts, interval.ts, instant.ts. */
export function parseSchedule(text: string, options: ScheduleOptions): ParsedSchedule {
  const given = text.trim();
  if (given === "") return refused("schedule", "is empty");
  if (given.length > maxTextChars) {
    return refused("schedule", `is longer than ${maxTextChars} characters`);
  }
  const zone = zoneTable(options.timeZone);
  const source = parseSource(given, zone, options);
  if (typeof source === "string") return refused("schedule", source);
  if ("reason" in zone) return refused("time_zone", zone.reason);

  const start = options.startSecond;
  const end = options.endSecond;
  if (start !== undefined && !isSecond(start, lastSecond)) {
    return refused("start_time", "must be a whole second from 1970 to 2999");
  }
  if (end !== undefined && !isSecond(end, lastEndSecond)) {
    return refused("end_time", "must be a whole second from 1970 to 9999");
  }
  if (start !== undefined && end !== undefined && end <= start) {
    return refused("end_time", "must be after start_time");
  }
  const bounded = new RememberingSchedule(source, start ?? 0, Math.min(end ?? Infinity, lastSecond + 1));
  const schedule = share(bounded);
  if (neverDue(source, schedule, start, end)) {
    const field = source.kind === "once" ? "schedule" : "end_time";
    return refused(field, "never fires: nothing is due from start_time to before end_time");
  }
  return { ok: true, schedule };
}

/** The object that schedules of this key have in common. */
function share(made: Schedule): Schedule {
  const { key } = made;
  const known = shared.get(key);
  if (known === undefined) shared.set(key, made);
  return known ?? made;
}

/** The next `count` occurrences strictly after `afterSecond`; fewer when they end. */
export function previewOccurrences(schedule: Schedule, afterSecond: number, count: number): number[] {
  const seconds: number[] = [];
  let last = afterSecond;
  while (seconds.length < count) {
    const next = schedule.nextAfter(last);
    if (next === undefined) break;
    seconds.push(next);
    last = next;
  }
  return seconds;
}

/** Puts bounds around a source, and remembers its last answer. */
class RememberingSchedule implements Schedule {
  readonly #source: Source;
  readonly #start: number;
  readonly #end: number;
  /** For each second in [askedFrom, answer) the answer is `answer`, or none from `end` on. */
  #askedFrom = 0;
  #answer = 0;

  constructor(source: Source, start: number, end: number) {
    this.#source = source;
    this.#start = start;
    this.#end = end;
  }

  get kind(): Schedule["kind"] {
    return this.#source.kind;
  }

  /** Made when asked for: kept, it would be a third of what a schedule costs. */
  get key(): string {
    const from = this.#start > 0 ? ` from ${this.#start}` : "";
    const until = this.#end <= lastSecond ? ` until ${this.#end}` : "";
    return `${this.#source.kind} ${this.#source.key}${from}${until}`;
  }

  nextAfter(second: number): number | undefined {
    const after = Math.max(Math.floor(second), this.#start - 1);
    if (after >= this.#end) return undefined;
    if (after < this.#askedFrom || after >= this.#answer) {
      const next = this.#source.next(after);
      this.#answer = next === undefined || next >= this.#end ? this.#end : next;
      this.#askedFrom = after;
    }
    return this.#answer < this.#end ? this.#answer : undefined;
  }
}

function neverDue(source: Source, schedule: Schedule, start?: number, end?: number): boolean {
  // Elsewhere an open side leaves room: parsing has refused what never comes at all.
  const closed = start !== undefined && end !== undefined;
  if (source.kind !== "once" && !closed) return false;
  return schedule.nextAfter((start ?? 0) - 1) === undefined;
}

function isSecond(value: number, last: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= last;
}

function refused(field: ScheduleField, reason: string): ParsedSchedule {
  return { ok: false, field, reason };
}
