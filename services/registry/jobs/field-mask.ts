import { create, type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { type Job, JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { FieldBehavior, field_behavior } from "../../../gen/google/api/field_behavior_pb.ts";

/** A path of a mask: the fields to walk along. */
export type FieldPath = readonly DescField[];

export type ParsedMask = { ok: true; paths: FieldPath[] } | { ok: false; problems: string[] };

// Whoever sends half of one of these without a mask means that half.
const mergedMessages: ReadonlySet<string> = new Set(["http", "retry"]);

// It guards an update, and is never what an update changes.
const guards: ReadonlySet<string> = new Set(["etag"]);

const settableFields: readonly DescField[] = JobSchema.fields.filter(
  (field) => !isOutputOnly(field) && !guards.has(field.name),
);

/**
 * Reads the paths of an update mask (AIP-134): names in snake_case or
 * lowerCamelCase, nested with dots, or a single "*" for all that can be set.
 */
export function parseMask(paths: readonly string[]): ParsedMask {
  if (paths.length === 1 && paths[0] === "*") return { ok: true, paths: settableFields.map((field) => [field]) };
  const parsed = paths.map(parsePath);
  const problems = parsed.filter((path) => typeof path === "string");
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, paths: parsed.filter((path) => typeof path !== "string") };
}

/** The mask that an update without one stands for: what is set in the job. */
export function maskOfPopulated(job: Job): FieldPath[] {
  return settableFields.flatMap((field) => {
    const value = read(job, field);
    if (!isPopulated(value)) return [];
    if (!mergedMessages.has(field.name) || !field.message) return [[field]];
    return field.message.fields
      .filter((child) => isPopulated(read(value as Message, child)))
      .map((child) => [field, child]);
  });
}

/** A job with what the paths name taken from another; what is unset there gets cleared. Neither is changed. */
export function mergeFields(paths: readonly FieldPath[], from: Job, stored: Job): Job {
  const merged = { ...stored };
  for (const path of paths) copyField(JobSchema, path, from, merged);
  return merged;
}

/** `into` is nobody else's; the messages in it may be. */
function copyField(desc: DescMessage, path: FieldPath, from: Message | undefined, into: Message): void {
  const [field, ...rest] = path;
  if (!field) return;
  const source = read(from ?? create(desc), field);
  if (rest.length === 0 || !field.message) {
    assign(into, field, source);
    return;
  }
  const before = read(into, field) as Message | undefined;
  const target = before ? { ...before } : create(field.message);
  assign(into, field, target);
  copyField(field.message, rest, source as Message | undefined, target);
}

/** The fields, or why there are none. */
function parsePath(path: string): FieldPath | string {
  const shown = JSON.stringify(path.slice(0, 256));
  if (path === "*") return `"*" stands alone`;
  const names = path.split(".");
  const fields: DescField[] = [];
  let desc: DescMessage | undefined = JobSchema;
  for (const name of names) {
    if (!desc) return `${shown} goes on behind a field that can only be set as a whole`;
    const field: DescField | undefined = desc.fields.find((f) => f.name === name || f.jsonName === name);
    if (!field) return `${shown} is not a field of a job`;
    if (isOutputOnly(field)) return `${shown} is set by the server alone`;
    if (guards.has(field.name)) return `${shown} is not a field that an update changes`;
    fields.push(field);
    // Durations and timestamps have no parts of their own to set.
    const nested: DescMessage | undefined = field.fieldKind === "message" ? field.message : undefined;
    desc = nested?.typeName.startsWith("google.") ? undefined : nested;
  }
  return fields;
}

function isOutputOnly(field: DescField): boolean {
  return getOption(field, field_behavior).includes(FieldBehavior.OUTPUT_ONLY);
}

function isPopulated(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null && !("$typeName" in value)) return Object.keys(value).length > 0;
  return true;
}

// Messages are plain objects; the descriptor says which properties they have.
function read(message: Message, field: DescField): unknown {
  return (message as unknown as Record<string, unknown>)[field.localName];
}

function assign(message: Message, field: DescField, value: unknown): void {
  const properties = message as unknown as Record<string, unknown>;
  if (value === undefined) delete properties[field.localName];
  else properties[field.localName] = value;
}
