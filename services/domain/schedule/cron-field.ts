import { hashWithin } from "../identity/hash-within.ts";
import { BitSet } from "./bit-set.ts";

/**
 * One field of a cron expression: its grammar, and the exact words of each refusal.
 *
 *   field  = item *("," item)
 *   item   = "*" ["/" step] | value | value "-" value ["/" step]
 *          | "H" ["(" number "-" number ")"] ["/" step]
 *   day of month, besides:  "?" | "L" (last day) | "LW" (last weekday) | n "W" (weekday nearest to n)
 *   day of week, besides:   "?" | value "#" 1..5 (nth of the month) | value "L" or value "#L" (last)
 */
export interface FieldSpec {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** The last value that `*` stands for: 6 for the day of week, where 7 is Sunday once more. */
  readonly wildcardMax: number;
  /** The last value that `H` may choose: 28 for the day of month, as in Jenkins: every month has it. */
  readonly hashMax: number;
  /** Three-letter names, the first one standing for `min`. */
  readonly names: readonly string[];
}

const spec = (name: string, min: number, max: number, names = ""): FieldSpec => ({
  name,
  min,
  max,
  wildcardMax: name === "day of week" ? 6 : max,
  hashMax: name === "day of month" ? 28 : name === "day of week" ? 6 : max,
  names: names === "" ? [] : names.split(" "),
});

export const cronFields = {
  second: spec("second", 0, 59),
  minute: spec("minute", 0, 59),
  hour: spec("hour", 0, 23),
  dayOfMonth: spec("day of month", 1, 31),
  month: spec("month", 1, 12, "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"),
  dayOfWeek: spec("day of week", 0, 7, "SUN MON TUE WED THU FRI SAT"),
} as const;

export interface CronField {
  readonly bits: BitSet;
  /** `L`, `LW`, `15W`, `5#2`, `5#L`: what numbers cannot say, in croner's spelling. */
  readonly specials: Set<string>;
  /** Written as `*`, `?` or a step of 1 over everything: it restricts nothing. */
  wildcard: boolean;
  /** Starts with `*`, or is a hashed step: the field sets a cadence, not a time. */
  readonly cadence: boolean;
  /** Has an `H` in it: it reads differently for each job. */
  hashed: boolean;
}

/** A parsed field, or the reason for its refusal. */
export function parseField(spec: FieldSpec, text: string, jobId: string): CronField | string {
  const field: CronField = {
    bits: new BitSet(),
    specials: new Set(),
    wildcard: false,
    cadence: text.startsWith("*") || /^H\//i.test(text),
    hashed: false,
  };
  const items = text.split(",");
  for (const item of items) {
    const problem = addItem(field, spec, item, items.length, jobId);
    if (problem !== undefined) return `${spec.name}: ${problem}`;
  }
  return field;
}

const isDay = (spec: FieldSpec) => spec === cronFields.dayOfMonth || spec === cronFields.dayOfWeek;

/** Adds one item to the field; answers with the reason when it cannot. */
function addItem(field: CronField, spec: FieldSpec, item: string, items: number, jobId: string) {
  if (item === "") return "a value is missing (an empty item in a list)";
  if (item === "?") {
    if (!isDay(spec)) return '"?" is allowed in day of month and day of week only; use *';
    if (items > 1) return '"?" must stand alone';
    field.wildcard = true;
    return addRange(field.bits, spec, spec.min, spec.wildcardMax, 1);
  }
  if (/^H(?![a-z])/i.test(item)) {
    field.hashed = true;
    return addHashed(field.bits, spec, item, jobId);
  }
  const special =
    spec === cronFields.dayOfMonth
      ? addSpecialDay(field, item, items)
      : spec === cronFields.dayOfWeek
        ? addSpecialWeekday(field, item)
        : undefined;
  if (special !== undefined) return special === added ? undefined : special;
  return addPlain(field, spec, item);
}

/** An item that was recognised and taken. */
const added = Symbol("added");

function addSpecialDay(field: CronField, item: string, items: number) {
  const upper = item.toUpperCase();
  if (upper === "L" || upper === "LW") {
    if (upper === "LW" && items > 1) return '"LW" must stand alone, not in a list';
    field.specials.add(upper);
    return added;
  }
  if (upper.startsWith("L-")) return `"${item}" (days before the last) is not supported`;
  const nearest = /^(\d+)W$/.exec(upper);
  if (!nearest) return undefined;
  const day = readValue(cronFields.dayOfMonth, nearest[1] ?? "");
  if (typeof day === "string") return day;
  field.specials.add(`${day}W`);
  return added;
}

function addSpecialWeekday(field: CronField, item: string) {
  const upper = item.toUpperCase();
  if (upper === "L") return '"L" needs a day in front of it, such as FRIL or 5L (the last Friday)';
  const nth = /^(\w+)#(.*)$/.exec(upper) ?? /^(\w+?)(L)$/.exec(upper);
  if (!nth) return undefined;
  const day = readValue(cronFields.dayOfWeek, nth[1] ?? "");
  if (typeof day === "string") return day;
  if (!/^([1-5]|L)$/.test(nth[2] ?? "")) return `"${item}": after # comes 1-5 or L`;
  field.specials.add(`${day % 7}#${nth[2]}`);
  return added;
}

/** `H`, `H/step`, `H(from-to)`, `H(from-to)/step`, after the Jenkins manual, "Cron syntax". */
function addHashed(bits: BitSet, spec: FieldSpec, item: string, jobId: string) {
  const match = /^H(?:\((\w+)-(\w+)\))?(?:\/(\w+))?$/i.exec(item);
  if (!match) return `"${item}" is not one of H, H/step, H(from-to), H(from-to)/step`;
  const from = match[1] === undefined ? spec.min : readValue(spec, match[1]);
  if (typeof from === "string") return from;
  const to = match[2] === undefined ? spec.hashMax : readValue(spec, match[2]);
  if (typeof to === "string") return to;
  if (from > to) return `the range ${from}-${to} runs backwards`;
  const size = to - from + 1;
  if (match[3] === undefined) {
    bits.add(wrap(spec, from + hashWithin(jobId, spec.name, size)));
    return undefined;
  }
  const step = readStep(match[3], size);
  if (typeof step === "string") return step;
  return addRange(bits, spec, from + hashWithin(jobId, spec.name, step), to, step);
}

function addPlain(field: CronField, spec: FieldSpec, item: string) {
  const [base = "", stepText, ...more] = item.split("/");
  const ends = base.split("-");
  if (base === "" || more.length > 0 || ends.length > 2 || ends.includes("")) {
    return `"${item}" is not a value, a range or a step`;
  }
  if (base === "*") {
    const step = readStep(stepText ?? "1", spec.wildcardMax - spec.min + 1);
    if (typeof step === "string") return step;
    if (step === 1) field.wildcard = true;
    return addRange(field.bits, spec, spec.min, spec.wildcardMax, step);
  }
  const from = readValue(spec, ends[0] ?? "");
  if (typeof from === "string") return from;
  if (ends.length === 1) {
    if (stepText !== undefined) {
      const range = `${base}-${spec.wildcardMax}/${stepText}`;
      return `"${item}" has a step but no range; write ${range} or */${stepText}`;
    }
    field.bits.add(wrap(spec, from));
    return undefined;
  }
  let to = readValue(spec, ends[1] ?? "");
  if (typeof to === "string") return to;
  // A week that ends on Sunday: SAT-SUN is 6-7.
  if (spec === cronFields.dayOfWeek && to === 0 && from > 0) to = 7;
  if (from > to) {
    const split = `${from}-${spec.wildcardMax},${spec.min}-${to}`;
    return `the range ${base} runs backwards; write ${split}`;
  }
  const step = readStep(stepText ?? "1", spec.wildcardMax - spec.min + 1);
  if (typeof step === "string") return step;
  return addRange(field.bits, spec, from, to, step);
}

const wrap = (spec: FieldSpec, value: number) => (value > spec.wildcardMax ? spec.min : value);

function addRange(bits: BitSet, spec: FieldSpec, from: number, to: number, step: number) {
  for (let value = from; value <= to; value += step) bits.add(wrap(spec, value));
  return undefined;
}

function readValue(spec: FieldSpec, text: string): number | string {
  if (/^\d+$/.test(text)) {
    const value = Number(text);
    if (value >= spec.min && value <= spec.max) return value;
    return `${text} is outside ${spec.min}-${spec.max}`;
  }
  const index = spec.names.indexOf(text.toUpperCase());
  if (index >= 0) return spec.min + index;
  if (spec.names.length === 0) return `"${text}" is not a number`;
  return `"${text}" is neither a number nor a name (${spec.names[0]}-${spec.names.at(-1)})`;
}

function readStep(text: string, size: number): number | string {
  if (!/^\d+$/.test(text)) return `the step "${text}" is not a number`;
  const step = Number(text);
  return step >= 1 && step <= size ? step : `the step ${text} is outside 1-${size}`;
}
