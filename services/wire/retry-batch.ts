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
}

export function writeRetryBatch(entries: readonly RetryEntry[]): Uint8Array {
  return writeMessage((fields) => {
    for (const { entry, executionId, second, attempt, notBeforeMs } of entries) {
      fields.message(1, () => {
        fields.bytes(1, entry);
        fields.string(2, executionId);
        fields.int64(3, second);
        fields.uint32(4, attempt);
        fields.int64(5, notBeforeMs);
      });
    }
  });
}

/** What a retry is called in the id of its message. */
export function retryName({ executionId, attempt }: RetryEntry): string {
  return `${executionId}:${attempt}`;
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
  for (const { entry, executionId, attempt, ...times } of fromBinary(RetryBatchSchema, bytes).entries) {
    const read = { entry, executionId, second: Number(times.second), attempt, notBeforeMs: Number(times.notBeforeMs) };
    const problem = problemOf(read);
    if (problem === undefined) batch.entries.push(read);
    else batch.refused.push(`${executionId}: ${problem}`);
  }
  return batch;
}

function problemOf({ executionId, second, attempt, notBeforeMs }: RetryEntry): string | undefined {
  if (!parseExecutionId(executionId)) return "no execution id";
  if (!isSecond(second)) return `second ${second} is out of range`;
  if (!isInstant(notBeforeMs)) return `instant ${notBeforeMs} is out of range`;
  return attempt === 0 ? "an attempt without its number" : undefined;
}
