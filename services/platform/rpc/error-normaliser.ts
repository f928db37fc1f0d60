import type { DescMethod } from "@bufbuild/protobuf";
import { Code as ConnectCode, ConnectError } from "@connectrpc/connect";
import { systemUuid } from "../process/clock.ts";
import type { Log } from "../process/log.ts";
import type { CallContext } from "./call-context.ts";
import { RpcError } from "./errors/rpc-error.ts";

export type ErrorNormaliser = (error: unknown, method: DescMethod, context: CallContext) => RpcError;

/**
 * Turns whatever a handler threw into what its client may see. The cause of a
 * surprise goes to the log under an id, and the client gets the id.
 */
export function createErrorNormaliser(log: Log): ErrorNormaliser {
  return (error, method, context) => {
    if (error instanceof RpcError) {
      // A call that the handler made was cancelled along with its own: why this one ended is what counts.
      if (error.code === "CANCELLED" && context.signal.aborted) return abandoned(context.signal.reason);
      tellCause(log, error, method);
      return error;
    }
    if (context.signal.aborted) return abandoned(context.signal.reason);
    const errorId = systemUuid();
    log.error({ event: "rpc_failed", rpc: nameOf(method), face: context.face, errorId, err: error });
    return new RpcError("INTERNAL", `internal error (${errorId})`, {
      reason: "INTERNAL",
      metadata: { error_id: errorId },
    });
  };
}

function tellCause(log: Log, { cause, code, reason }: RpcError, method: DescMethod): void {
  if (cause === undefined) return;
  const event = { event: "rpc_refused", rpc: nameOf(method), code, reason };
  // The refusal of another service is no surprise: its words are enough.
  if (cause instanceof RpcError) log.info({ ...event, cause: cause.message });
  else log.warn({ ...event, err: cause });
}

function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

function abandoned(reason: unknown): RpcError {
  if (reason instanceof RpcError) return reason;
  const late =
    (reason instanceof ConnectError && reason.code === ConnectCode.DeadlineExceeded) ||
    (reason instanceof Error && reason.name === "TimeoutError");
  if (late) return new RpcError("DEADLINE_EXCEEDED", "the deadline passed", { reason: "DEADLINE_EXCEEDED" });
  return new RpcError("CANCELLED", "the call was cancelled", { reason: "CANCELLED" });
}
