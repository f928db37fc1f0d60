import { describe, expect, it } from "vitest";
import { problemsOfTargetHeaders } from "./target-headers.ts";

describe("the headers of a job", () => {
  it("may be what a webhook needs", () => {
    const headers = { Authorization: "Bearer x", "Content-Type": "text/plain", "X-Name": "ä\tb", Accept: "" };
    expect(problemsOfTargetHeaders(headers)).toEqual([]);
  });

  it.each([
    "Host",
    "content-length",
    "Transfer-Encoding",
    "connection",
    "TE",
    "Idempotency-Key",
    "Carillon-Job-Id",
    "traceparent",
    "Expect",
  ])("may not set %s", (name) => {
    expect(problemsOfTargetHeaders({ [name]: "x" })).toMatchObject([{ name }]);
  });

  it.each(["", "a b", "a:b", "ä", "a\r\nb", ":path"])("may not be named %j", (name) => {
    expect(problemsOfTargetHeaders({ [name]: "x" })).toMatchObject([{ name, reason: expect.stringContaining("name") }]);
  });

  it.each(["a\r\nX: y", "a\nb", "\u0000", "\u007f", "€"])("may not have the value %j", (value) => {
    expect(problemsOfTargetHeaders({ "X-A": value })).toMatchObject([{ name: "X-A" }]);
  });

  it("may not differ in case alone", () => {
    expect(problemsOfTargetHeaders({ "X-A": "1", "x-a": "2" })).toMatchObject([
      { name: "x-a", reason: expect.stringContaining("X-A") },
    ]);
  });

  it("may have 16 KiB together and no more", () => {
    expect(problemsOfTargetHeaders({ "X-A": "x".repeat(16 * 1024 - 3) })).toEqual([]);
    expect(problemsOfTargetHeaders({ "X-A": "x".repeat(16 * 1024 - 2) })).toMatchObject([
      { reason: expect.stringContaining("16384") },
    ]);
  });

  it("tells all problems at once", () => {
    expect(problemsOfTargetHeaders({ Host: "x", "X-A": "\n" })).toHaveLength(2);
  });
});
