import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DeadLetterSchema } from "../../gen/carillon/v1/events_pb.ts";
import { jobNamed } from "../../test/support/job-ids.ts";
import { expectBothWays, seeds, WireValues } from "../../test/support/wire-values.ts";
import { executionIdAt } from "../domain/identity/position.ts";
import { type DeadLetter, deadLetterId, readDeadLetter, writeDeadLetter } from "./dead-letter.ts";

const letterOf = (values: WireValues): DeadLetter => ({ entry: values.bytes(), result: values.result() });

const messageOf = ({ entry, result }: DeadLetter) => {
  const { run, ...fields } = result;
  const executionId = executionIdAt(result.jobId, result);
  const second = BigInt(result.second);
  const instants = { sentAtMs: BigInt(fields.sentAtMs), retryAtMs: BigInt(fields.retryAtMs) };
  return { entry, executionId, second, result: { ...fields, executionId, second, ...instants } };
};

describe("a dead letter", () => {
  it.each(seeds)("is the same to the generated code (seed %i)", (seed) => {
    const letter = letterOf(new WireValues(seed));
    expectBothWays(DeadLetterSchema, messageOf(letter), letter, { write: writeDeadLetter, read: readDeadLetter });
  });

  it("cannot be read when it contradicts itself, or lacks its result", () => {
    const letter = letterOf(new WireValues(1));
    const good = messageOf(letter);
    const read = (message: MessageInitShape<typeof DeadLetterSchema>) =>
      readDeadLetter(toBinary(DeadLetterSchema, create(DeadLetterSchema, message)));
    expect(() => read(good)).not.toThrow();
    expect(() => read({ entry: good.entry, executionId: good.executionId, second: good.second })).toThrow(/result/);
    expect(() => read({ ...good, executionId: "other" })).toThrow(/other/);
    const manual = messageOf({ ...letter, result: { ...letter.result, run: "m7" } });
    for (const one of [good, manual])
      expect(() => read({ ...one, second: one.second + 1n })).toThrow(/a dead letter of/);
    for (const jobId of ["", "job"]) {
      expect(() => read({ ...good, result: { ...good.result, jobId } })).toThrow(/is no job id/);
    }
    expect(() => readDeadLetter(new Uint8Array([255, 255]))).toThrow();
  });

  it("is named by its last attempt", () => {
    const letter = letterOf(new WireValues(1));
    const result = { ...letter.result, jobId: jobNamed("j"), second: 7, run: "", attempt: 2 };
    expect(deadLetterId({ ...letter, result })).toBe(`d-${jobNamed("j")}-7-2`);
    expect(deadLetterId({ ...letter, result: { ...result, run: "mx" } })).toBe(`d-${jobNamed("j")}-mx-2`);
    // It may come back with the same one, and is news then.
    expect(deadLetterId({ ...letter, result }, 9)).toBe(`d-${jobNamed("j")}-7-2-9`);
  });
});
