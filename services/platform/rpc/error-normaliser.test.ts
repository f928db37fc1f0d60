import { pino } from "pino";
import { expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import type { CallContext } from "./call-context.ts";
import { createErrorNormaliser } from "./error-normaliser.ts";
import { RpcError } from "./errors/rpc-error.ts";

const cancelled = new RpcError("CANCELLED", "the call was cancelled", { reason: "CANCELLED" });
const stopping = new RpcError("UNAVAILABLE", "the server is stopping", { reason: "SERVER_STOPPING" });

/** What a client gets whose call was abandoned for a reason, when its handler then failed. */
function told(error: unknown, reason?: unknown): RpcError {
  const signal = reason === undefined ? new AbortController().signal : AbortSignal.abort(reason);
  const context: CallContext = {
    face: "grpc",
    header: () => undefined,
    signal,
    remainingMs: () => undefined,
    open: () => undefined,
  };
  return createErrorNormaliser(pino({ level: "silent" }))(error, Health.method.check, context);
}

test("a call that was cancelled along with its own is told as its own ended", () => {
  expect(told(cancelled, new DOMException("late", "TimeoutError")).code).toBe("DEADLINE_EXCEEDED");
  expect(told(cancelled, stopping)).toBe(stopping);
  expect(told(cancelled, new DOMException("gone", "AbortError")).code).toBe("CANCELLED");
  expect(told(cancelled)).toBe(cancelled);
});

test("what fails since nobody waits any more is no surprise, and a refusal stays one", () => {
  expect(told(new Error("aborted"), stopping)).toBe(stopping);
  const refusal = new RpcError("NOT_FOUND", "nothing there", { reason: "R" });
  expect(told(refusal, stopping)).toBe(refusal);
  expect(told(new Error("the disk is full"))).toMatchObject({ code: "INTERNAL", reason: "INTERNAL" });
});
