import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import { dueEntry } from "../../../test/support/executor-rig.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import { executionIdOf } from "../../domain/identity/execution-id.ts";
import type { Settlement } from "../settling/settlements.ts";
import { Attempt } from "./attempt.ts";
import { compileCall } from "./call.ts";
import { createPreparation } from "./preparation.ts";

const settlement: Settlement = { done: () => undefined, refused: () => undefined, giveBack: () => undefined };

describe("the headers of a call", () => {
  const entry = dueEntry({ jobId: jobNamed("a"), url: "http://127.0.0.1:1/", headers: { "X-Own": "1" } });
  const call = compileCall(entry, toBinary(DueEntrySchema, entry));
  const preparation = createPreparation(() => 0.5);
  const headersOf = (second: number, number: number) => {
    const attempt = new Attempt(call, executionIdOf(jobNamed("a"), second), second, number, settlement);
    const pairs = preparation.headersOf(attempt);
    return Object.fromEntries(pairs.flatMap((name, i) => (i % 2 === 0 ? [[name, pairs[i + 1]]] : [])));
  };

  it("are those of the job, and name the execution, its second and the attempt", () => {
    expect(headersOf(1_800_000_000, 1)).toMatchObject({
      "X-Own": "1",
      "Idempotency-Key": `${jobNamed("a")}-1800000000`,
      "Carillon-Execution-Id": `${jobNamed("a")}-1800000000`,
      "Carillon-Scheduled-Time": "2027-01-15T08:00:00Z",
      "Carillon-Attempt": "1",
      traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
    });
  });

  it("tell the second of each call, whichever came before", () => {
    const times = [1_800_000_001, 1_800_000_001, 1_800_000_000].map((s) => headersOf(s, 3)["Carillon-Scheduled-Time"]);
    expect(times).toEqual(["2027-01-15T08:00:01Z", "2027-01-15T08:00:01Z", "2027-01-15T08:00:00Z"]);
    expect(headersOf(1, 3)["Carillon-Attempt"]).toBe("3");
  });
});
