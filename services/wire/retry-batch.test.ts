import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RetryBatchSchema } from "../../gen/carillon/v1/events_pb.ts";
import { expectBothWays, seeds, WireValues } from "../../test/support/wire-values.ts";
import { type RetryEntry, readRetryBatch, retryBatchId, retryName, writeRetryBatch } from "./retry-batch.ts";

const entryOf = (values: WireValues): RetryEntry => ({
  entry: values.bytes(),
  executionId: values.executionId(),
  second: values.second(),
  attempt: values.uint32() || 1,
  notBeforeMs: values.instantMs(),
});

const messageOf = (entry: RetryEntry) => ({
  ...entry,
  second: BigInt(entry.second),
  notBeforeMs: BigInt(entry.notBeforeMs),
});

describe("a retry batch", () => {
  it.each(seeds)("is the same to the generated code (seed %i)", (seed) => {
    const values = new WireValues(seed);
    const entries = values.list(() => entryOf(values));
    expectBothWays(RetryBatchSchema, { entries: entries.map(messageOf) }, entries, {
      write: writeRetryBatch,
      read(bytes) {
        const batch = readRetryBatch(bytes);
        expect(batch.refused).toEqual([]);
        return batch.entries;
      },
    });
  });

  it("gives the others when one of its entries cannot be", () => {
    const good = entryOf(new WireValues(1));
    const bad = [
      { ...messageOf(good), second: -1n },
      { ...messageOf(good), notBeforeMs: -1n },
      { ...messageOf(good), notBeforeMs: 2n ** 60n },
      { ...messageOf(good), attempt: 0 },
      { ...messageOf(good), executionId: "job-7" },
      { ...messageOf(good), executionId: "" },
    ];
    const message = create(RetryBatchSchema, { entries: [messageOf(good), ...bad, messageOf(good)] });
    expect(readRetryBatch(toBinary(RetryBatchSchema, message))).toEqual({
      entries: [good, good],
      refused: [
        `${good.executionId}: second -1 is out of range`,
        `${good.executionId}: instant -1 is out of range`,
        expect.stringMatching(/: instant .* is out of range$/),
        `${good.executionId}: an attempt without its number`,
        "job-7: no execution id",
        ": no execution id",
      ],
    });
  });

  it("cannot be read from other bytes", () => {
    expect(() => readRetryBatch(new Uint8Array([255, 255]))).toThrow();
  });

  it("has one id for the same attempts in the same order, and for no others", () => {
    const entry = { ...entryOf(new WireValues(1)), executionId: "x-1", attempt: 2, notBeforeMs: 5 };
    expect(retryBatchId([retryName(entry)])).toBe(retryBatchId([retryName({ ...entry, notBeforeMs: 6 })]));
    const names = [retryName(entry), retryName({ ...entry, attempt: 3 }), retryName({ ...entry, executionId: "x-2" })];
    const ids = [...names.map((name) => retryBatchId([name])), retryBatchId(names), retryBatchId(names.toReversed())];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids[0]).toMatch(/^t-[\w-]{27}$/);
  });
});
