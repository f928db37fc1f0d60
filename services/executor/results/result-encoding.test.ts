import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ResultBatchSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { type AttemptRecord, ResultBatchWriter } from "./result-encoding.ts";

const record: AttemptRecord = {
  executionId: "01jd0000000000000000000000-1795435200",
  jobId: "01jd0000000000000000000000",
  second: 1_795_435_200,
  attempt: 2,
  status: ExecutionStatus.FAILED,
  final: true,
  sentAtMs: 1_795_435_200_003,
  durationMs: 70_000,
  httpStatus: 503,
  reason: "HTTP_STATUS",
  message: "the target answered 503",
  trigger: ExecutionTrigger.MANUAL,
};

const decode = (writer: ResultBatchWriter) =>
  fromBinary(ResultBatchSchema, writer.take()).results.map(({ $typeName, $unknown, ...fields }) => ({
    ...fields,
    second: Number(fields.second),
    sentAtMs: Number(fields.sentAtMs),
  }));

describe("ResultBatchWriter", () => {
  it("writes what the generated code reads", () => {
    const writer = new ResultBatchWriter();
    const records: AttemptRecord[] = [
      record,
      { ...record, final: false, attempt: 1, httpStatus: 0, durationMs: 0, sentAtMs: 127 },
      { ...record, status: ExecutionStatus.SUCCESS, reason: "", message: "", trigger: ExecutionTrigger.SCHEDULE },
      { ...record, message: `keine Verbindung: größer als ${"é€😀".repeat(200)}`, durationMs: 1_800_000 },
      { ...record, second: 2 ** 31, sentAtMs: 2 ** 41 + 5 },
    ];
    for (const one of records) writer.add(one);
    expect(decode(writer)).toEqual(records);
  });

  it("grows with its contents, and starts anew when they are taken", () => {
    const writer = new ResultBatchWriter();
    for (let i = 0; i < 2_000; i++) writer.add({ ...record, attempt: i + 1 });
    expect(decode(writer).map((one) => one.attempt)).toEqual(Array.from({ length: 2_000 }, (_, i) => i + 1));
    expect(writer.bytes()).toBe(0);
    writer.add(record);
    expect(decode(writer)).toEqual([record]);
  });
});
