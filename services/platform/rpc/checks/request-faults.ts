import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { FieldViolation } from "../errors/field-violation.ts";

/** What the bytes of a request can say though its proto has no such thing. */
export interface RequestFault extends FieldViolation {
  readonly reason: "UNKNOWN_FIELD" | "INVALID_FIELD";
}

/**
 * The first fault of a decoded request, at any depth:
 *
 * - A field that its message does not know. Nothing is accepted and ignored: a
 *   client newer than this server learns that its field would have had no effect.
 * - A Duration or Timestamp outside its type's range. protovalidate's rules look
 *   at the sum of seconds and nanos only, and what has no JSON form could never
 *   be read again by a client that speaks JSON.
 */
export function findRequestFault(desc: DescMessage, message: Message): RequestFault | undefined {
  const unknown = message.$unknown?.[0];
  if (unknown) {
    const description = `${desc.typeName} has no field with number ${unknown.no} in this version`;
    return { field: "", description, reason: "UNKNOWN_FIELD" };
  }
  const { rangeFault, nested } = planOf(desc);
  const description = rangeFault?.(message);
  if (description !== undefined) return { field: "", description, reason: "INVALID_FIELD" };
  for (const field of nested) {
    const fault = findInField(field, message);
    if (fault) return fault;
  }
  return undefined;
}

function findInField(field: DescField, parent: Message): RequestFault | undefined {
  const desc = field.message;
  const value = readField(field, parent);
  if (desc === undefined || value === undefined) return undefined;
  if (field.fieldKind === "message") return inside(field.name, findRequestFault(desc, value as Message));
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const fault = findRequestFault(desc, item);
      if (fault) return inside(`${field.name}[${index}]`, fault);
    }
    return undefined;
  }
  for (const [key, item] of Object.entries(value as Record<string, Message>)) {
    const fault = findRequestFault(desc, item);
    if (fault) return inside(`${field.name}[${JSON.stringify(key)}]`, fault);
  }
  return undefined;
}

/** The path is put together on the way back, so that a good request costs no text. */
function inside(name: string, fault: RequestFault | undefined): RequestFault | undefined {
  return fault && { ...fault, field: fault.field === "" ? name : `${name}.${fault.field}` };
}

function readField(field: DescField, parent: Message): unknown {
  const fields = parent as unknown as Record<string, unknown>;
  if (!field.oneof) return fields[field.localName];
  const group = fields[field.oneof.localName] as { case?: string; value?: unknown };
  return group.case === field.localName ? group.value : undefined;
}

interface Plan {
  /** Tells what is wrong with the values of this very type. */
  readonly rangeFault: ((message: Message) => string | undefined) | undefined;
  /** The fields that hold messages. */
  readonly nested: readonly DescField[];
}

const plans = new WeakMap<DescMessage, Plan>();

/** Remembered, since each request asks. */
function planOf(desc: DescMessage): Plan {
  let plan = plans.get(desc);
  if (!plan) {
    plan = {
      rangeFault: rangeFaults.get(desc.typeName),
      nested: desc.fields.filter((field) => field.message !== undefined),
    };
    plans.set(desc, plan);
  }
  return plan;
}

// The bounds are those of google/protobuf/duration.proto and timestamp.proto.
const maxNanos = 999_999_999;
const maxDurationSeconds = 315_576_000_000n;
const minTimestampSeconds = -62_135_596_800n;
const maxTimestampSeconds = 253_402_300_799n;

const rangeFaults: ReadonlyMap<string, (message: Message) => string | undefined> = new Map([
  ["google.protobuf.Duration", (message: Message) => durationFault(message as Duration)],
  ["google.protobuf.Timestamp", (message: Message) => timestampFault(message as Timestamp)],
]);

function durationFault({ seconds, nanos }: Duration): string | undefined {
  if (seconds < -maxDurationSeconds || seconds > maxDurationSeconds) {
    return `seconds must be from -${maxDurationSeconds} to ${maxDurationSeconds}`;
  }
  if (nanos < -maxNanos || nanos > maxNanos) return `nanos must be from -${maxNanos} to ${maxNanos}`;
  const signsDiffer = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  return signsDiffer ? "seconds and nanos must have the same sign" : undefined;
}

function timestampFault({ seconds, nanos }: Timestamp): string | undefined {
  if (seconds < minTimestampSeconds || seconds > maxTimestampSeconds) {
    return "must be from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z";
  }
  return nanos < 0 || nanos > maxNanos ? `nanos must be from 0 to ${maxNanos}` : undefined;
}
