import { create, getOption } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { field as rulesOf } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { describe, expect, it } from "vitest";
import {
  ListDeadExecutionsRequestSchema,
  RedriveExecutionsRequestSchema,
} from "../../../gen/carillon/v1/dead_execution_pb.ts";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import type { FailureReason } from "../../domain/delivery/outcome.ts";
import type { SkipReason } from "../../domain/delivery/skip-reason.ts";
import type { Letter } from "./letter.ts";
import { decodeLetterPlace, encodeLetterPlace } from "./letter-place.ts";
import { type LetterFilters, letterQueryOf } from "./letter-query.ts";

const a = jobNamed("a");
const b = jobNamed("b");
const all: LetterFilters = { jobId: "", reason: "" };
const at = timestampFromMs;

const letter = (changes: { reason?: string; diedAtMs?: number; executionId?: string } = {}): Letter => {
  const { reason = "TIMEOUT", diedAtMs = 0, executionId = `${a}-7` } = changes;
  const ending = { status: ExecutionStatus.FAILED, sentAtMs: 0, durationMs: 0, httpStatus: 0, reason, message: "" };
  const result = { ...ending, jobId: a, second: 7, run: "", attempt: 1, final: true, retryAtMs: 0 };
  return { sequence: 1, diedAtMs, executionId, result: { ...result, trigger: ExecutionTrigger.SCHEDULE } };
};

describe("what is asked for of dead letters", () => {
  it("is all of them, unless filters say otherwise", () => {
    const query = letterQueryOf(all);
    expect(query.stretches).toEqual([{ jobId: undefined, fromMs: 0, executionIds: undefined }]);
    expect([query.selective, query.matches(letter()), query.isOver(Number.MAX_SAFE_INTEGER)]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it("is of one job, or reason, or both", () => {
    expect(letterQueryOf({ ...all, jobId: b }).stretches).toMatchObject([{ jobId: b }]);
    const query = letterQueryOf({ ...all, reason: "TIMEOUT" });
    expect(query.selective).toBe(true);
    expect(["TIMEOUT", "DNS_ERROR"].map((reason) => query.matches(letter({ reason })))).toEqual([true, false]);
  });

  it("has died at or after the first instant and before the second", () => {
    const query = letterQueryOf({ ...all, startTime: at(5_000), endTime: at(6_000) });
    expect(query.stretches).toMatchObject([{ fromMs: 5_000 }]);
    expect([4_999, 5_000, 5_999].map((diedAtMs) => query.matches(letter({ diedAtMs })))).toEqual([false, true, true]);
    expect([5_999, 6_000].map(query.isOver)).toEqual([false, true]);
  });

  it("may be told by a part of a millisecond, and lies behind that", () => {
    const query = letterQueryOf({ ...all, startTime: { ...at(5_000), nanos: 1 } });
    expect(query.matches(letter({ diedAtMs: 5_000 }))).toBe(false);
  });

  it("lies behind the second of each execution that is named, and anywhere when one is a manual run", () => {
    const ids = [`${a}-900`, `${b}-m7`, `${a}-800`, `${b}-900`];
    const query = letterQueryOf({ ...all, executionIds: ids });
    expect(query.stretches).toEqual([
      { jobId: a, fromMs: 740_000, executionIds: new Set([`${a}-900`, `${a}-800`]) },
      { jobId: b, fromMs: 0, executionIds: new Set([`${b}-m7`, `${b}-900`]) },
    ]);
    expect(letterQueryOf({ ...all, executionIds: [`${a}-5`] }).stretches).toMatchObject([{ fromMs: 0 }]);
    expect(query.selective).toBe(true);
    const matching = [`${a}-900`, `${a}-901`].map((executionId) => query.matches(letter({ executionId })));
    expect(matching).toEqual([true, false]);
  });

  const startTime = at(1);
  it.each<[string, Partial<LetterFilters>, string]>([
    ["a span that ends where it begins", { startTime, endTime: startTime }, "end_time: must be after start_time"],
    ["an id that is none", { executionIds: [`${a}-7`, "x"] }, "execution_ids[1]: is no execution id"],
    ["an execution of another job", { jobId: b, executionIds: [`${a}-7`] }, "execution_ids[0]: is none of job_id"],
    [
      "a reason beside ids",
      { reason: "TIMEOUT", executionIds: [`${a}-7`] },
      "reason: does not stand beside execution_ids",
    ],
    ["a time beside ids", { startTime, executionIds: [`${a}-7`] }, "start_time: does not stand beside execution_ids"],
    [
      "an end beside ids",
      { endTime: startTime, executionIds: [`${a}-7`] },
      "end_time: does not stand beside execution_ids",
    ],
  ])("is refused for %s", (_, filters, message) => {
    expect(() => letterQueryOf({ ...all, ...filters })).toThrow(message);
  });

  it("is nothing for a text that is no job id", () => {
    expect(() => letterQueryOf({ ...all, jobId: "a.*" })).toThrow(/there is no job/);
  });

  it("can be each reason for which a letter is written", () => {
    // The compiler asks for each. A job that was changed has no letter: only a first attempt is skipped for that.
    const reasons = {
      HTTP_STATUS: 0,
      TIMEOUT: 0,
      CONNECTION_REFUSED: 0,
      CONNECTION_RESET: 0,
      DNS_ERROR: 0,
      TLS_ERROR: 0,
      NETWORK_ERROR: 0,
      JOB_PAUSED: 0,
      JOB_DELETED: 0,
      EXPIRED: 0,
      BACKLOG_FULL: 0,
    } satisfies Record<FailureReason | Exclude<SkipReason, "JOB_CHANGED">, 0>;
    for (const schema of [ListDeadExecutionsRequestSchema, RedriveExecutionsRequestSchema]) {
      const { type } = getOption(schema.field.reason, rulesOf);
      expect(type).toMatchObject({ case: "string", value: { in: Object.keys(reasons) } });
    }
  });
});

describe("a place among dead letters", () => {
  const place = { stretch: 999, sequence: Number.MAX_SAFE_INTEGER };
  const filters = create(RedriveExecutionsRequestSchema, { jobId: a, reason: "TIMEOUT", executionIds: ["x"] });
  const token = encodeLetterPlace("List", filters, place);

  it("comes back as it was, and is the first one in an empty token", () => {
    expect(decodeLetterPlace("List", filters, token)).toEqual(place);
    expect(decodeLetterPlace("List", filters, "")).toEqual({ stretch: 0, sequence: 0 });
  });

  it("is none for another call or other filters", () => {
    const others: Partial<LetterFilters>[] = [
      { jobId: b },
      { reason: "" },
      { startTime: at(1) },
      { endTime: at(1) },
      { executionIds: ["x", "y"] },
    ];
    for (const other of others) expect(decodeLetterPlace("List", { ...filters, ...other }, token)).toBeUndefined();
    expect(decodeLetterPlace("Redrive", filters, token)).toBeUndefined();
    const [one, two] = [
      { ...filters, startTime: at(1) },
      { ...filters, endTime: at(1) },
    ];
    expect(decodeLetterPlace("List", two, encodeLetterPlace("List", one, place))).toBeUndefined();
  });

  it("is none when the token was changed in any way", () => {
    const text = Buffer.from(token, "base64url").toString();
    const forged = Buffer.from(text.replace("999", "998")).toString("base64url");
    for (const other of ["x", `${token}=`, ` ${token}`, token.slice(1), forged]) {
      expect(decodeLetterPlace("List", filters, other), other).toBeUndefined();
    }
  });
});
