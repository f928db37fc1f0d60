import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { type JobRow, storedState } from "./job-row.ts";
import type { Label } from "./named-jobs.ts";

/** What jobs are found by, beside their id. */
export interface IndexedFields {
  key: string | undefined;
  labels: readonly Label[];
}

const keyNumber = JobSchema.field.key.number;
const labelsNumber = JobSchema.field.labels.number;
// protobuf's encoding of a map: an entry is a message with these.
const entryKeyNumber = 1;
const entryValueNumber = 2;

const nothing: IndexedFields = { key: undefined, labels: [] };

/**
 * Reads the key and the labels off a job's definition, and skips the rest: decoding all of it costs ten times as much.
 * A deleted job is found by neither.
 */
export function indexedFields({ state, job }: Pick<JobRow, "state" | "job">): IndexedFields {
  if (state === storedState.deleted) return nothing;
  const reader = new BinaryReader(job);
  let key: string | undefined;
  let labels: Label[] | undefined;
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === keyNumber && wireType === WireType.LengthDelimited) key = reader.string() || undefined;
    else if (number === labelsNumber && wireType === WireType.LengthDelimited) {
      labels ??= [];
      labels.push(readEntry(reader));
    } else reader.skip(wireType, number);
  }
  return key === undefined && labels === undefined ? nothing : { key, labels: labels ?? nothing.labels };
}

function readEntry(reader: BinaryReader): Label {
  const end = reader.uint32() + reader.pos;
  let name = "";
  let value = "";
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    if (number === entryKeyNumber) name = reader.string();
    else if (number === entryValueNumber) value = reader.string();
    else reader.skip(wireType, number);
  }
  return [name, value];
}

export function sameLabels(a: readonly Label[], b: readonly Label[]): boolean {
  if (a.length !== b.length) return false;
  // Definitions are stored with their maps in order.
  return a.every(([name, value], index) => b[index]?.[0] === name && b[index][1] === value);
}
