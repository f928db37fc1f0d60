import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RetryBatchSchema } from "../../gen/carillon/v1/events_pb.ts";
import { expectBothWays, seeds, WireValues } from "../../test/support/wire-values.ts";
import { type RetryEntry, readRetryBatch, retryBatchId, retryName, writeRetryBatch } from "./retry-batch.ts";

const entryOf = (values: WireValues): RetryEntry => {
  const attempt = values.uint32() || 1;
  const redriven = values.dice.chance(0.5);
  return {
    entry: values.bytes(),
    executionId: values.executionId(),
    second: values.second(),
    attempt,
    notBeforeMs: values.instantMs(),
    redrive: redriven
      ? { atMs: values.instantMs() || 1, attemptsBefore: values.dice.between(0, attempt - 1) }
      : undefined,
  };
};

const messageOf = ({ redrive, ...entry }: RetryEntry) => ({
  ...entry,
  second: BigInt(entry.second),
  notBeforeMs: BigInt(entry.notBeforeMs),
  redrivenAtMs: BigInt(redrive?.atMs ?? 0),
  attemptsBefore: redrive?.attemptsBefore ?? 0,
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
      { ...messageOf(good), redrivenAtMs: -1n },
      { ...messageOf(good), attempt: 2, redrivenAtMs: 5n, attemptsBefore: 2 },
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
        `${good.executionId}: instant -1 is out of range`,
        `${good.executionId}: attempt 2 is none after 2`,
      ],
    });
  });

  it("cannot be read from other bytes", () => {
    expect(() => readRetryBatch(new Uint8Array([255, 255]))).toThrow();
  });

  it("has one id for the same attempts in the same order, and for no others", () => {
    const entry = { executionId: "x-1", attempt: 2, redrive: undefined };
    expect(retryBatchId([retryName(entry)])).toBe(retryBatchId([retryName({ ...entry })]));
    const names = [
      retryName(entry),
      retryName({ ...entry, attempt: 3 }),
      retryName({ ...entry, executionId: "x-2" }),
      retryName({ ...entry, redrive: { atMs: 1, attemptsBefore: 1 } }),
      retryName({ ...entry, redrive: { atMs: 2, attemptsBefore: 1 } }),
    ];
    const ids = [...names.map((name) => retryBatchId([name])), retryBatchId(names), retryBatchId(names.toReversed())];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids[0]).toMatch(/^t-[\w-]{27}$/);
  });
});
