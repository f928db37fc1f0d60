import { expect, test } from "vitest";
import { fromConnectError, fromStatus, toConnectError, toStatus } from "./error-details.ts";
import { invalidField, invalidFields, RpcError, relativeTo } from "./rpc-error.ts";

test("an error survives google.rpc.Status and ConnectError unchanged", () => {
  const error = new RpcError("RESOURCE_EXHAUSTED", "too many", {
    reason: "QUOTA",
    metadata: { limit: "5" },
    fieldViolations: [{ field: "a", description: "b" }],
    retryDelayMs: 1500,
  });
  for (const copy of [fromStatus(toStatus(error)), fromConnectError(toConnectError(error))]) {
    expect(copy).toEqual(error);
    expect(copy.retryDelayMs).toBe(1500);
    expect(copy.fieldViolations).toMatchObject(error.fieldViolations);
  }
});

test("the message names the first field and counts the others", () => {
  const violations = [..."abc"].map((field) => ({ field, description: "value is required" }));
  expect(invalidFields(violations).message).toBe("a: value is required (and 2 more)");
});

test("for a REST client both paths and message are relative to the body", () => {
  const error = relativeTo("job", invalidField("job.http.body", "is too long"));
  expect(error.message).toBe("http.body: is too long");
  expect(error.fieldViolations).toEqual([{ field: "http.body", description: "is too long" }]);
  expect(relativeTo("job", invalidField("jobs", "x")).fieldViolations[0]?.field).toBe("jobs");
});

test("an error about very much stays small enough for gRPC trailers", () => {
  const violations = Array.from({ length: 10_000 }, (_, i) => ({ field: `f${i}`, description: "x".repeat(5000) }));
  const error = new RpcError("INVALID_ARGUMENT", "y".repeat(100_000), { reason: "R", fieldViolations: violations });
  expect(JSON.stringify(toStatus(error).details.map(({ value }) => [...value])).length).toBeLessThan(20_000);
  expect(error.message.length).toBeLessThanOrEqual(1024);
});

test("text that cannot be sent is made sendable", () => {
  const error = new RpcError("NOT_FOUND", "\ud800", {
    reason: "R",
    fieldViolations: [{ field: "\udc00", description: "" }],
  });
  expect(encodeURI(error.message)).toBe("%EF%BF%BD");
  expect(error.fieldViolations[0]?.field).toBe("\ufffd");
});
