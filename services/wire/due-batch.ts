import { fromBinary } from "@bufbuild/protobuf";
import { DueBatchSchema } from "../../gen/carillon/v1/events_pb.ts";
import { writeMessage } from "./field-writer.ts";
import { secondFrom } from "./ranges.ts";

/** A due message holds up to this many occurrences. */
export const maxBatchEntries = 100;
/** And this many bytes, so that large bodies make small batches: the broker refuses a message over 1 MB. */
export const maxBatchBytes = 256 * 1024;

/** Occurrences of one partition and second. */
export interface DueBatch {
  /** The second at which they are due, unix. */
  second: number;
  partition: number;
  /** Some of them may have been published before under another message id. */
  mayRepeat: boolean;
  /** That of the partition's owner; 0 for a manual run. */
  epoch: number;
  /** Serialised DueEntry messages. */
  entries: readonly Uint8Array[];
}

/**
 * `contents` is a hash over the job and generation of each entry: equal ids mean
 * equal contents, and the broker drops a repeat by it. A number alone would not
 * do, since a batch that is cut again after a change has other entries.
 */
export function dueBatchId({ partition, second, entries }: DueBatch, contents: string): string {
  return `${partition}-${second}-${entries.length}-${contents}`;
}

/**
 * Each occurrence passes here, and costs its ticker 2 µs in all. protobuf's writer
 * takes 6 µs for 100 entries and 1.1 µs for 10; packing by hand took 4.6 and 1.8 µs.
 */
export function writeDueBatch(batch: DueBatch): Uint8Array {
  return writeMessage((fields) => {
    fields.int64(1, batch.second);
    fields.uint32(2, batch.partition);
    fields.bool(3, batch.mayRepeat);
    fields.uint64(4, batch.epoch);
    for (const entry of batch.entries) fields.item(5, entry);
  });
}

/** The entries are views into the message. Throws when the bytes are no DueBatch. */
export function readDueBatch(bytes: Uint8Array): DueBatch {
  const { second, partition, mayRepeat, epoch, entries } = fromBinary(DueBatchSchema, bytes);
  return { second: secondFrom(second), partition, mayRepeat, epoch: Number(epoch), entries };
}
