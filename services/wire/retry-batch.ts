import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { RetryBatchSchema } from "../../gen/carillon/v1/events_pb.ts";
import { parseExecutionId } from "../domain/identity/execution-id.ts";
import { writeMessage } from "./field-writer.ts";
import { isInstant, isSecond } from "./ranges.ts";

/** An attempt that is to be made later, or is on the wire for long. RETRY, LANES and RUNNING carry batches of them. */
export interface RetryEntry {
  /** A serialised DueEntry. */
  entry: Uint8Array;
  executionId: string;
  second: number;
  /** The attempt to make, from 1; in RETRY from 2. */
  attempt: number;
  /** Not before this instant, unix milliseconds; 0 where nothing is waited for but a place. */
  notBeforeMs: number;
  /** Of an execution that was dead and is called again. */
  redrive: Redrive | undefined;
}

/** What makes a fresh set of attempts of an execution that had used up its attempts. */
export interface Redrive {
  /** When that was asked for, unix milliseconds: how late an attempt may start counts from here. */
  atMs: number;
  /** The attempts that were made before; how many there are at most counts from there. */
  attemptsBefore: number;
}

export function writeRetryBatch(entries: readonly RetryEntry[]): Uint8Array {
  return writeMessage((fields) => {
    for (const { entry, executionId, second, attempt, notBeforeMs, redrive } of entries) {
      fields.message(1, () => {
        fields.bytes(1, entry);
        fields.string(2, executionId);
        fields.int64(3, second);
        fields.uint32(4, attempt);
        fields.int64(5, notBeforeMs);
        fields.int64(6, redrive?.atMs ?? 0);
        fields.uint32(7, redrive?.attemptsBefore ?? 0);
      });
    }
  });
}

/**
 * What a retry is called in the id of its message. An attempt that was not made when its execution was redriven keeps
 * its number the next time, and must not be taken for a repeat.
 */
export function retryName({
  executionId,
  attempt,
  redrive,
}: Pick<RetryEntry, "executionId" | "attempt" | "redrive">): string {
  return redrive ? `${executionId}:${attempt}:${redrive.atMs}` : `${executionId}:${attempt}`;
}

/** The same attempts make the same id: a retry that two executors publish is stored once, if they gathered it alike. */
export function retryBatchId(names: readonly string[]): string {
  const hash = createHash("sha256");
  for (const name of names) hash.update(`${name}\n`);
  return `t-${hash.digest("base64url").slice(0, 27)}`;
}

export interface ReadRetryBatch {
  entries: RetryEntry[];
  /** Why entries of the batch were left out. */
  refused: string[];
}

/**
 * The bytes in the entries are views into the message. Throws when the bytes
 * are no RetryBatch; an entry in it that cannot be is left out.
 */
export function readRetryBatch(bytes: Uint8Array): ReadRetryBatch {
  const batch: ReadRetryBatch = { entries: [], refused: [] };
  for (const { entry, executionId, attempt, attemptsBefore, ...times } of fromBinary(RetryBatchSchema, bytes).entries) {
    const atMs = Number(times.redrivenAtMs);
    const read = {
      entry,
      executionId,
      second: Number(times.second),
      attempt,
      notBeforeMs: Number(times.notBeforeMs),
      redrive: atMs === 0 ? undefined : { atMs, attemptsBefore },
    };
    const problem = problemOf(read);
    if (problem === undefined) batch.entries.push(read);
    else batch.refused.push(`${executionId}: ${problem}`);
  }
  return batch;
}

function problemOf({ executionId, second, attempt, notBeforeMs, redrive }: RetryEntry): string | undefined {
  if (!parseExecutionId(executionId)) return "no execution id";
  if (!isSecond(second)) return `second ${second} is out of range`;
  if (!isInstant(notBeforeMs)) return `instant ${notBeforeMs} is out of range`;
  if (attempt === 0) return "an attempt without its number";
  if (!redrive) return undefined;
  if (!isInstant(redrive.atMs)) return `instant ${redrive.atMs} is out of range`;
  const { attemptsBefore } = redrive;
  return attemptsBefore >= attempt ? `attempt ${attempt} is none after ${attemptsBefore}` : undefined;
}
