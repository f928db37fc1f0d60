import { expect, test } from "vitest";
import { fromConnectError } from "../../../../test/support/connect-refusal.ts";
import { toGrpcStatus } from "../grpc/grpc-call.ts";
import { fromStatus, toConnectError, toStatus } from "./error-details.ts";
import { invalidField, invalidFields, RpcError, relativeTo } from "./rpc-error.ts";

test("an error survives google.rpc.Status and ConnectError unchanged", () => {
  const error = new RpcError("RESOURCE_EXHAUSTED", "too many", {
    reason: "QUOTA",
    metadata: { limit: "5" },
    fieldViolations: [{ field: "a", description: "b", reason: "A_REASON_OF_ITS_OWN" }],
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

test("each path in a REST client's message and metadata is relative, and what it sent is left alone", () => {
  const problems = ["job.http", "job.http.body", "job.jitter"].map((field) => ({ field, description: "is no use" }));
  const message = 'no use: job.http, job.http.body, job.jitter, not even "job.jitter"';
  const options = { reason: "R", metadata: { field: "job.http" }, fieldViolations: problems };
  const error = relativeTo("job", new RpcError("UNIMPLEMENTED", message, options));
  expect(error.message).toBe('no use: http, http.body, jitter, not even "job.jitter"');
  expect(error.metadata).toEqual({ field: "http" });
  expect(error.fieldViolations.map(({ field }) => field)).toEqual(["http", "http.body", "jitter"]);
});

test("what is wrong with the whole body is in the message, and names no field that was never sent", () => {
  const error = relativeTo("job", invalidField("job", "value is required"));
  expect(error.message).toBe("the body: value is required");
  expect(toStatus(error).details.map(({ typeUrl }) => typeUrl)).toEqual(["type.googleapis.com/google.rpc.ErrorInfo"]);
});

// One, two, three and four bytes in UTF-8; what encodeURI leaves alone, and what it triples.
test.each([
  "y",
  " ",
  "é",
  "€",
  "\u{1F600}",
  "\n",
  "\ud800",
])("an error about very much %j leaves trailers below 8 KiB", (character) => {
  const long = character.repeat(100_000);
  const violations = Array.from({ length: 10_000 }, (_, i) => ({ field: `f${i}${long}`, description: long }));
  const many = Array.from({ length: 10_000 }, () => ({ field: "f", description: character, reason: "REASON" }));
  const metadata = { a: long, b: long, c: long };
  for (const fieldViolations of [violations, many]) {
    const error = new RpcError("INVALID_ARGUMENT", long, {
      reason: "A_REASON_AS_LONG_AS_THEY_GET",
      fieldViolations,
      metadata,
      retryDelayMs: 1,
    });
    const { metadata: trailers, details } = toGrpcStatus(error);
    const [bytes] = trailers.get("grpc-status-details-bin") as [Buffer];
    // HTTP/2 counts 32 bytes for each header, and answers without a body bring some more.
    const trailersBytes = encodeURI(details).length + bytes.toString("base64").length + 10 * 32;
    expect(trailersBytes).toBeLessThan(8192);
    expect(error.fieldViolations.length).toBeGreaterThan(0);
    expect(error.message.endsWith("…")).toBe(true);
  }
});

test("an error that fits is told whole", () => {
  const text = `${"€".repeat(200)} 100%`;
  const fieldViolations = [{ field: `labels["${"€".repeat(80)}"]`, description: "d".repeat(512) }];
  const error = new RpcError("INVALID_ARGUMENT", text, {
    reason: "R",
    fieldViolations,
    metadata: { id: "€".repeat(64) },
  });
  expect(error).toMatchObject({ message: text, fieldViolations, metadata: { id: "€".repeat(64) } });
});

test("text that cannot be sent is made sendable", () => {
  const error = new RpcError("NOT_FOUND", "\ud800", {
    reason: "R",
    fieldViolations: [{ field: "\udc00", description: "" }],
  });
  expect(encodeURI(error.message)).toBe("%EF%BF%BD");
  expect(error.fieldViolations[0]?.field).toBe("\ufffd");
});
