import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueBatchSchema } from "../../gen/carillon/v1/events_pb.ts";
import { expectBothWays, seeds, WireValues } from "../../test/support/wire-values.ts";
import { type DueBatch, dueBatchId, maxBatchEntries, readDueBatch, writeDueBatch } from "./due-batch.ts";

const batchOf = (values: WireValues): DueBatch => ({
  second: values.second(),
  partition: values.uint32(),
  mayRepeat: values.bool(),
  epoch: values.uint64(),
  entries: values.list(() => values.bytes()),
});

describe("a due batch", () => {
  it.each(seeds)("is the same to the generated code (seed %i)", (seed) => {
    const batch = batchOf(new WireValues(seed));
    const message = { ...batch, second: BigInt(batch.second), epoch: BigInt(batch.epoch), entries: [...batch.entries] };
    expectBothWays(DueBatchSchema, message, batch, { write: writeDueBatch, read: readDueBatch });
  });

  it("holds as many entries as it may, each where it was", () => {
    const entries = Array.from({ length: maxBatchEntries }, (_, i) => new Uint8Array(i).fill(i));
    const batch = { second: 1_764_000_000, partition: 63, mayRepeat: true, epoch: 9, entries };
    expect(readDueBatch(writeDueBatch(batch))).toEqual(batch);
  });

  it("stays as it was written when others are written after it", () => {
    const batch = { ...batchOf(new WireValues(1)), entries: [new Uint8Array([1, 2, 3])] };
    const bytes = writeDueBatch(batch);
    writeDueBatch({ ...batch, entries: [new Uint8Array([9, 9, 9])] });
    expect(readDueBatch(bytes)).toEqual(batch);
  });

  it("has an id of its own for each partition, second, number of entries and contents", () => {
    const batch = { ...batchOf(new WireValues(1)), second: 100, partition: 1, entries: [new Uint8Array(1)] };
    const others = [
      { ...batch, partition: 2 },
      { ...batch, second: 101 },
      { ...batch, entries: [] },
    ];
    const ids = [...others.map((other) => dueBatchId(other, "a")), dueBatchId(batch, "b"), dueBatchId(batch, "a")];
    expect(new Set(ids).size).toBe(ids.length);
    // The next owner publishes the same: what differs with the owner is no part of it.
    expect(dueBatchId({ ...batch, epoch: batch.epoch + 1, mayRepeat: !batch.mayRepeat }, "a")).toBe(ids.at(-1));
  });

  it("cannot be read from other bytes, or with a second that no clock shows", () => {
    expect(() => readDueBatch(new Uint8Array([255, 255]))).toThrow();
    for (const second of [-1n, 1_000_000_000_000n, 2n ** 62n]) {
      const bytes = toBinary(DueBatchSchema, create(DueBatchSchema, { second }));
      expect(() => readDueBatch(bytes), String(second)).toThrow(/second/);
    }
  });
});
