import { describe, expect, it } from "vitest";
import { failure, outcomeOfStatus } from "./outcome.ts";

describe("outcomeOfStatus", () => {
  it("counts every 2xx as success, and nothing else", () => {
    for (const status of [200, 201, 204, 299]) {
      expect(outcomeOfStatus(status)).toEqual({ kind: "success", httpStatus: status });
    }
    for (const status of [199, 300, 304, 400, 404, 429, 500, 503, 599]) {
      expect(outcomeOfStatus(status)).toMatchObject({ kind: "failure", reason: "HTTP_STATUS", httpStatus: status });
    }
  });

  it("says that a redirect was not followed", () => {
    expect(outcomeOfStatus(302)).toMatchObject({ message: "the target answered 302, and redirects are not followed" });
    expect(outcomeOfStatus(500)).toMatchObject({ message: "the target answered 500" });
  });

  it("keeps what the target asked for", () => {
    expect(outcomeOfStatus(503, 7_000)).toMatchObject({ retryAfterMs: 7_000 });
  });
});

describe("failure", () => {
  it("has no status when there was no answer", () => {
    expect(failure("TIMEOUT", "no answer within 200 ms")).toMatchObject({ reason: "TIMEOUT", httpStatus: 0 });
  });

  it("keeps 512 characters of a message at most", () => {
    const outcome = failure("TLS_ERROR", "x".repeat(100_000));
    expect(outcome.kind === "failure" && outcome.message.length).toBeLessThanOrEqual(512);
  });
});
