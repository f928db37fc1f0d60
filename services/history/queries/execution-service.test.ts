import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  ExecutionStatus,
  ExecutionTrigger,
  ListExecutionsRequestSchema,
  ListExecutionsResponseSchema,
} from "../../../gen/carillon/v1/execution_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import type { CallContext } from "../../platform/rpc/call-context.ts";
import type { ExecutionRecord } from "../records/execution-record.ts";
import { createExecutionHandlers } from "./execution-service.ts";

const { FAILED } = ExecutionStatus;
const largestAnswerBytes = 4 * 1024 * 1024;

const recordOf = (second: number, message: string): ExecutionRecord => {
  const ending = {
    status: FAILED,
    sentAtMs: second * 1000,
    durationMs: 30_000,
    httpStatus: 0,
    reason: "TLS_ERROR",
    message,
  };
  const attempts = Array.from({ length: 20 }, (_, i) => ({ ...ending, attempt: i + 1, retryAtMs: 0 }));
  return {
    ...ending,
    jobId: jobNamed("job"),
    second,
    run: "",
    trigger: ExecutionTrigger.SCHEDULE,
    decidedBy: 20,
    attempts,
  };
};

describe("a list of executions", () => {
  /** The sizes and seconds of all pages of a thousand executions with so long a message. */
  const pagesOf = async (message: string) => {
    const records = Array.from({ length: 1_000 }, (_, i) => recordOf(1_764_001_000 - i, message));
    const { listExecutions } = createExecutionHandlers({
      store: {
        list: async (_, limit, before) =>
          records.filter((one) => !before || one.second < before.second).slice(0, limit),
        find: async () => undefined,
        endedSince: () => expect.unreachable(),
        lastEnding: () => expect.unreachable(),
      },
      unended: { find: async () => undefined, list: () => expect.unreachable() },
      watchers: { watch: () => expect.unreachable() },
    });
    const pages: { bytes: number; seconds: number[] }[] = [];
    let pageToken = "";
    do {
      const request = create(ListExecutionsRequestSchema, { jobId: jobNamed("job"), pageSize: 1_000, pageToken });
      const answer = create(ListExecutionsResponseSchema, await listExecutions(request, {} as CallContext));
      const seconds = answer.executions.map(({ scheduledTime }) => Number(scheduledTime?.seconds));
      pages.push({ bytes: toBinary(ListExecutionsResponseSchema, answer).length, seconds });
      pageToken = answer.nextPageToken;
    } while (pageToken !== "");
    expect(pages.flatMap(({ seconds }) => seconds)).toEqual(records.map(({ second }) => second));
    return pages;
  };

  it.each(["x", "€"])("fits what gRPC clients take, however many attempts and texts are in it (%s)", async (letter) => {
    const pages = await pagesOf(letter.repeat(500));
    expect(Math.max(...pages.map(({ bytes }) => bytes))).toBeLessThan(largestAnswerBytes);
    // Nearly as much as fits: no page is a waste of a call.
    for (const { bytes } of pages.slice(0, -1)) expect(bytes).toBeGreaterThan(largestAnswerBytes / 2);
  });

  it("has as many as were asked for when they are of the usual size", async () => {
    expect(await pagesOf("the target answered 503")).toHaveLength(1);
  });
});
