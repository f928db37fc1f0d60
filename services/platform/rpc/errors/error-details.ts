import { create, type DescMessage, type Message, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type Code as ConnectCode, ConnectError } from "@connectrpc/connect";
import { Code } from "../../../../gen/google/rpc/code_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../../../gen/google/rpc/error_details_pb.ts";
import { type Status, StatusSchema } from "../../../../gen/google/rpc/status_pb.ts";
import { type RpcCode, RpcError } from "./rpc-error.ts";

/** google.rpc.ErrorInfo.domain of every error that this system makes. */
const errorDomain = "carillon";

interface Detail {
  desc: DescMessage;
  value: Message;
}

/** ErrorInfo first, then BadRequest and RetryInfo when there is something to say (AIP-193). */
export function detailsOf(error: RpcError): Detail[] {
  const { reason, metadata, fieldViolations, retryDelayMs } = error;
  const info = create(ErrorInfoSchema, { reason, domain: errorDomain, metadata });
  const details: Detail[] = [{ desc: ErrorInfoSchema, value: info }];
  // What is wrong with the request as a whole has no field to name: the message tells it.
  const named = fieldViolations.filter(({ field }) => field !== "");
  if (named.length > 0) {
    details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations: named }) });
  }
  if (retryDelayMs !== undefined) {
    const retryDelay = durationFromMs(retryDelayMs);
    details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  return details;
}

export function toStatus(error: RpcError): Status {
  return create(StatusSchema, {
    code: Code[error.code],
    message: error.message,
    details: detailsOf(error).map(({ desc, value }) => anyPack(desc, value)),
  });
}

export function toConnectError(error: RpcError): ConnectError {
  // Connect's codes have the same numbers.
  const code: ConnectCode = Code[error.code];
  return new ConnectError(error.message, code, undefined, detailsOf(error), error);
}

/** For calls that we make: the error of another service, as it threw it. */
export function fromStatus(status: Pick<Status, "code" | "message" | "details">): RpcError {
  const code = codeOf(status.code);
  const info = find(status.details, ErrorInfoSchema);
  const retryDelay = find(status.details, RetryInfoSchema)?.retryDelay;
  return new RpcError(code, status.message, {
    reason: info?.reason || code,
    metadata: info?.metadata ?? {},
    fieldViolations: find(status.details, BadRequestSchema)?.fieldViolations ?? [],
    ...(retryDelay && { retryDelayMs: durationMs(retryDelay) }),
  });
}

function find<D extends DescMessage>(details: readonly Any[], desc: D): MessageShape<D> | undefined {
  for (const any of details) {
    const unpacked = anyUnpack(any, desc);
    if (unpacked) return unpacked;
  }
  return undefined;
}

const nameOfCode = new Map(Object.entries(Code).map(([name, number]) => [number as number, name]));

function codeOf(number: number): RpcCode {
  const name = nameOfCode.get(number);
  return name === undefined || name === "OK" ? "UNKNOWN" : (name as RpcCode);
}
