import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type AttemptResultSchema, ResultBatchSchema } from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus, ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { jobNamed } from "../../test/support/job-ids.ts";
import { seeds, WireValues } from "../../test/support/wire-values.ts";
import { executionIdAt } from "../domain/identity/position.ts";
import type { AttemptResult } from "./attempt-result.ts";
import { ResultBatchWriter, readResultBatch, resultBatchId } from "./result-batch.ts";

type Message = MessageInitShape<typeof AttemptResultSchema>;

const jobId = jobNamed("a");
const result: AttemptResult = {
  jobId,
  second: 1_795_435_200,
  run: "",
  attempt: 2,
  status: ExecutionStatus.FAILED,
  final: true,
  sentAtMs: 1_795_435_200_003,
  durationMs: 70_000,
  httpStatus: 503,
  reason: "HTTP_STATUS",
  message: "the target answered 503",
  trigger: ExecutionTrigger.MANUAL,
  retryAtMs: 0,
};

const messageOf = ({ run, ...fields }: AttemptResult) => ({
  ...fields,
  executionId: executionIdAt(fields.jobId, { second: fields.second, run }),
  second: BigInt(fields.second),
  sentAtMs: BigInt(fields.sentAtMs),
  retryAtMs: BigInt(fields.retryAtMs),
});

const generated = (results: Message[]) => create(ResultBatchSchema, { results });
const readGenerated = (results: Message[]) => readResultBatch(toBinary(ResultBatchSchema, generated(results)));

describe("a result batch", () => {
  it.each(seeds)("is the same to the generated code (seed %i)", (seed) => {
    const values = new WireValues(seed);
    const results = values.list(() => values.result());
    const writer = new ResultBatchWriter();
    for (const one of results) writer.add(one);
    expect(fromBinary(ResultBatchSchema, writer.take())).toEqual(generated(results.map(messageOf)));
    expect(readGenerated(results.map(messageOf))).toEqual({ results, refused: [] });
  });

  it("holds results of any length, each where it was", () => {
    const writer = new ResultBatchWriter();
    const results = [0, 100, 127, 128, 16_100, 16_200, 16_300, 16_383, 16_384, 2 ** 21, 5].flatMap((length) => [
      { ...result, message: "x".repeat(length) },
      { ...result, message: "€".repeat(length / 3), run: "m7", attempt: length + 1 },
    ]);
    for (const one of results) writer.add(one);
    expect(readResultBatch(writer.take())).toEqual({ results, refused: [] });
  });

  it("holds a result of whatever length around the greatest that two bytes tell", () => {
    const writer = new ResultBatchWriter();
    const results = Array.from({ length: 300 }, (_, i) => ({ ...result, message: "x".repeat(16_383 - i) }));
    for (const one of results) writer.add(one);
    expect(readResultBatch(writer.take()).results).toEqual(results);
  });

  it("loses nothing where its buffer ends, not even of texts that take the most bytes", () => {
    // Up to the 32 KiB that it begins with, in steps of one character.
    const most = 2 ** 32 - 1;
    for (let chars = 10_850; chars < 10_925; chars++) {
      const writer = new ResultBatchWriter();
      const numbers = { second: 1e12, attempt: most, sentAtMs: 1e15, durationMs: most, httpStatus: most };
      const one = { ...result, ...numbers, jobId: "", reason: "", message: "€".repeat(chars) };
      writer.add(one);
      expect(fromBinary(ResultBatchSchema, writer.take())).toEqual(generated([messageOf(one)]));
    }
  });

  it("grows with its contents, and starts anew when they are taken", () => {
    const writer = new ResultBatchWriter();
    for (let i = 0; i < 2_000; i++) writer.add({ ...result, attempt: i + 1 });
    const first = writer.take();
    expect(writer.bytes()).toBe(0);
    writer.add(result);
    expect(readResultBatch(writer.take()).results).toEqual([result]);
    const attempts = readResultBatch(first).results.map(({ attempt }) => attempt);
    expect(attempts).toEqual(Array.from({ length: 2_000 }, (_, i) => i + 1));
  });

  it("is named by its sender and its number", () => {
    const ids = [resultBatchId("a", 0), resultBatchId("a", 1), resultBatchId("b", 0)];
    expect(ids).toEqual(["r-a-0", "r-a-1", "r-b-0"]);
  });
});

describe("the reader of result batches", () => {
  it("gives the others when one of the results cannot be, and says why", () => {
    const good = messageOf(result);
    const wrong: [Message, RegExp][] = [
      [{ ...good, jobId: "" }, /no job id/],
      ...["job", jobId.toUpperCase(), jobId.replace("-7cc3-", "-4cc3-")].map((other): [Message, RegExp] => [
        { ...good, jobId: other, executionId: `${other}-${result.second}` },
        /"[^"]+" is no job id/,
      ]),
      [{ ...good, second: -1n, executionId: `${jobId}--1` }, /second -1 is out of range/],
      [{ ...good, second: 10n ** 12n }, /second 1000000000000 is out of range/],
      [{ ...good, second: 2n ** 62n }, /second .* is out of range/],
      [{ ...good, sentAtMs: -1n }, /instant -1 is out of range/],
      [{ ...good, sentAtMs: 2n ** 62n }, /instant .* is out of range/],
      [{ ...good, executionId: `${jobId}-1795435201` }, /not an execution of job/],
      [{ ...good, executionId: `${jobNamed("b")}-m7` }, /not an execution of job/],
      [{ ...good, executionId: "" }, /not an execution of job/],
      [{ ...good, status: ExecutionStatus.RETRYING }, /no attempt ends with/],
      [{ ...good, status: ExecutionStatus.UNSPECIFIED }, /no attempt ends with/],
      [{ ...good, attempt: 0 }, /an attempt without its number/],
    ];
    const batch = readGenerated([good, ...wrong.flatMap(([message]) => [message, good])]);
    expect(batch.results).toEqual(Array.from({ length: wrong.length + 1 }, () => result));
    expect(batch.refused).toEqual(wrong.map(([, why]) => expect.stringMatching(why)));
  });

  it("keeps a result whose texts have a NUL, and puts another character in its place", () => {
    const texts = { reason: "\u0000", message: "a\u0000b\u0000\u0001 größer" };
    expect(readGenerated([{ ...messageOf(result), ...texts }])).toEqual({
      results: [{ ...result, reason: "\ufffd", message: "a\ufffdb\ufffd\u0001 größer" }],
      refused: [],
    });
  });

  it.each([
    ExecutionStatus.SKIPPED_OVERLAP,
    ExecutionStatus.SKIPPED_MISFIRE,
    ExecutionStatus.SKIPPED_PAUSED,
    ExecutionStatus.SKIPPED_EXPIRED,
    ExecutionStatus.SKIPPED_SUPERSEDED,
  ])("takes a skip for final, and for no attempt (status %i)", (status) => {
    const skip = { ...messageOf(result), status, attempt: 3, final: false };
    expect(readGenerated([skip]).results).toEqual([{ ...result, status, attempt: 0, final: true }]);
  });

  it("takes what waits for no attempt, and for no end", () => {
    const wait = { ...messageOf(result), status: ExecutionStatus.RUNNING, attempt: 3, final: true };
    expect(readGenerated([wait]).results).toEqual([{ ...result, status: wait.status, attempt: 0, final: false }]);
  });

  it.each([
    { of: "a failed attempt that another follows", changes: { final: false }, kept: true },
    { of: "a final one", changes: {}, kept: false },
    { of: "a success", changes: { final: false, status: ExecutionStatus.SUCCESS }, kept: false },
    { of: "no clock's instant", changes: { final: false, retryAtMs: -1n }, kept: false },
  ])("tells when the next attempt is due only of what has one: $of", ({ changes, kept }) => {
    const retryAtMs = 1_795_435_205_000;
    const [read] = readGenerated([{ ...messageOf(result), retryAtMs: BigInt(retryAtMs), ...changes }]).results;
    expect(read?.retryAtMs).toBe(kept ? retryAtMs : 0);
  });

  it("steps over fields that a newer version wrote, in the batch and in a result", () => {
    const writer = new ResultBatchWriter();
    writer.add(result);
    const whole = writer.take();
    // Field 100: a varint, a text, and the fixed-width ones.
    const unknown = [
      0xa0, 0x06, 0xff, 0x01, 0xa2, 0x06, 2, 65, 66, 0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xa5, 0x06, 1, 2, 3, 4,
    ];
    const inner = [...whole.subarray(3), ...unknown];
    const newer = [...unknown, 0x0a, (inner.length & 0x7f) | 0x80, inner.length >>> 7, ...inner, ...unknown];
    expect(readResultBatch(Uint8Array.from(newer))).toEqual({ results: [result], refused: [] });
  });

  it("throws on bytes that are no batch, wherever they end", () => {
    expect(() => readResultBatch(new Uint8Array([255, 255]))).toThrow();
    expect(() => readResultBatch(new Uint8Array([0, 0]))).toThrow();
    const writer = new ResultBatchWriter();
    writer.add(result);
    const whole = writer.take();
    for (let length = 1; length < whole.length; length++) {
      expect(() => readResultBatch(whole.subarray(0, length)), `${length} bytes`).toThrow();
    }
    // The first result claims a byte less than its last field has: the next one is not read from the middle.
    const shorter = Uint8Array.from([...whole, ...whole]);
    shorter[1] = (shorter[1] ?? 0) - 1;
    expect(() => readResultBatch(shorter)).toThrow();
  });
});
