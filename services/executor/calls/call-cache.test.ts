import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import { HttpMethod } from "../../../gen/carillon/v1/job_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import { decodeCall } from "./call.ts";
import { createCallCache } from "./call-cache.ts";

const entryOf = (fields: {
  jobId: string;
  body?: string;
  url?: string;
  method?: HttpMethod;
  headers?: Record<string, string>;
  executionId?: string;
}) => toBinary(DueEntrySchema, create(DueEntrySchema, { url: "http://host:8080/a?b=c", body: "{}", ...fields }));

describe("a call", () => {
  it("is a POST of JSON unless the job says otherwise", () => {
    const call = decodeCall(entryOf({ jobId: jobNamed("a") }));
    expect(call).toMatchObject({ method: "POST", origin: "http://host:8080", path: "/a?b=c", timeoutMs: 30_000 });
    expect(call.headers).toEqual([
      "Content-Type",
      "application/json",
      "User-Agent",
      expect.stringMatching(/^carillon\//),
      "Carillon-Job-Id",
      jobNamed("a"),
    ]);
  });

  it("keeps the job's own content type and user agent", () => {
    const headers = { "CONTENT-TYPE": "text/plain", "user-agent": "me" };
    const call = decodeCall(entryOf({ jobId: jobNamed("a"), method: HttpMethod.PUT, headers }));
    expect(call.headers).toEqual(["CONTENT-TYPE", "text/plain", "user-agent", "me", "Carillon-Job-Id", jobNamed("a")]);
  });

  it("has no content type without a body", () => {
    const call = decodeCall(entryOf({ jobId: jobNamed("a"), method: HttpMethod.GET, body: "" }));
    expect(call).toMatchObject({ method: "GET", body: null });
    expect(call.headers).not.toContain("Content-Type");
  });

  it("has no origin when its URL is none", () => {
    for (const url of ["", "nonsense", "ftp://host/"])
      expect(decodeCall(entryOf({ jobId: jobNamed("a"), url })).origin).toBe("");
  });
});

describe("the call of a manual run", () => {
  const [jobId, otherJobId] = [jobNamed("a"), jobNamed("b")];

  it("brings its run with it", () => {
    expect(decodeCall(entryOf({ jobId, executionId: `${jobId}-m7` })).run).toBe("m7");
    expect(decodeCall(entryOf({ jobId })).run).toBe("");
  });

  it("is not made when the run is another job's, or none", () => {
    for (const executionId of [`${otherJobId}-m7`, `${jobId}-7`, "m7"]) {
      expect(() => decodeCall(entryOf({ jobId, executionId })), executionId).toThrow(/no manual run/);
    }
  });
});

describe("the call cache", () => {
  it("makes one call of the same bytes", () => {
    const cache = createCallCache();
    expect(cache.get(entryOf({ jobId: jobNamed("a") }))).toBe(cache.get(entryOf({ jobId: jobNamed("a") })));
    expect(cache.get(entryOf({ jobId: jobNamed("a") }))).not.toBe(cache.get(entryOf({ jobId: jobNamed("b") })));
  });

  it("forgets what was not used for long, and keeps what is", () => {
    const cache = createCallCache(10);
    const [used, unused] = [entryOf({ jobId: jobNamed("used") }), entryOf({ jobId: jobNamed("unused") })];
    const [first, other] = [cache.get(used), cache.get(unused)];
    for (let i = 0; i < 100; i++) {
      cache.get(entryOf({ jobId: jobNamed(`j${i}`) }));
      expect(cache.get(used)).toBe(first);
    }
    expect(cache.get(unused)).not.toBe(other);
  });

  it("does not keep large entries", () => {
    const cache = createCallCache();
    const large = entryOf({ jobId: jobNamed("a"), body: "x".repeat(2_000) });
    expect(cache.get(large)).not.toBe(cache.get(large));
  });

  it("throws on bytes that are no entry", () => {
    expect(() => createCallCache().get(new Uint8Array([255, 255]))).toThrow();
  });
});
