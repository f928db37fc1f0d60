import { once } from "node:events";
import { type DescMessage, type Message, toBinary } from "@bufbuild/protobuf";
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type StatusObject,
} from "@grpc/grpc-js";
import { Code } from "../../../../gen/google/rpc/code_pb.ts";
import { StatusSchema } from "../../../../gen/google/rpc/status_pb.ts";
import type { Clock } from "../../process/clock.ts";
import type { BoundStream, BoundUnary, CallContext } from "../call-context.ts";
import { decodeMessage } from "../decode-message.ts";
import { toStatus } from "../errors/error-details.ts";
import { RpcError } from "../errors/rpc-error.ts";

/** Messages pass through grpc-js as bytes: what it cannot decode or encode itself gets words of its own. */
export type GrpcUnaryHandler = handleUnaryCall<Buffer, Buffer>;
export type GrpcStreamHandler = handleServerStreamingCall<Buffer, Buffer>;

export function unaryHandler(method: BoundUnary, clock: Clock): GrpcUnaryHandler {
  return (call, callback) => {
    const context = createContext(call, clock);
    const { input, output } = method.desc;
    method
      .call(
        context,
        () => decodeMessage(input, call.request),
        (response) => encodeMessage(output, response),
      )
      .then(
        (response) => {
          context.open();
          callback(null, response);
        },
        (error) => callback(toGrpcStatus(error)),
      );
  };
}

/** Streams also end, with UNAVAILABLE, when `shutdown` is aborted. */
export function streamHandler(method: BoundStream, clock: Clock, shutdown: AbortSignal): GrpcStreamHandler {
  return (call) => {
    // A client that goes away makes the stream fail; the handler hears of it by its signal.
    call.on("error", () => undefined);
    const context = createContext(call, clock, shutdown);
    const { input, output } = method.desc;
    const responses = method.call(
      context,
      () => decodeMessage(input, call.request),
      (response) => encodeMessage(output, response),
    );
    // A generator that waits inside the handler is woken by the signal alone.
    writeAll(call, context, responses).then(
      () => call.end(),
      (error) => {
        // grpc-js takes the status of a stream from an error event.
        if (!call.cancelled) call.emit("error", toGrpcStatus(error));
      },
    );
  };
}

async function writeAll(
  call: ServerWritableStream<Buffer, Buffer>,
  context: CallContext,
  responses: AsyncIterable<Buffer>,
): Promise<void> {
  const { signal } = context;
  for await (const response of responses) {
    context.open();
    if (!call.write(response)) await once(call, "drain", { signal }).catch(() => undefined);
  }
  context.open();
}

/** The binary form, in a Buffer that shares the memory of what protobuf wrote. */
export function encodeMessage(desc: DescMessage, message: Message): Buffer {
  const bytes = toBinary(desc, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function toGrpcStatus(error: unknown): StatusObject & Error {
  const refusal =
    error instanceof RpcError ? error : new RpcError("INTERNAL", "internal error", { reason: "INTERNAL" });
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", encodeMessage(StatusSchema, toStatus(refusal)));
  const { name, message } = refusal;
  return { name, message, code: Code[refusal.code], details: message, metadata };
}

type GrpcCall = ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>;

function createContext(call: GrpcCall, clock: Clock, shutdown?: AbortSignal): CallContext {
  let controller: AbortController | undefined;
  let opened = false;
  return {
    face: "grpc",
    header(name) {
      const value = call.metadata.get(name)[0];
      return typeof value === "string" ? value : value?.toString("base64");
    },
    // Most unary handlers never ask for it.
    get signal() {
      if (!controller) {
        controller = new AbortController();
        linkToCall(controller, call, clock, shutdown);
      }
      return controller.signal;
    },
    remainingMs: () => remainingMs(call, clock),
    open() {
      if (opened) return;
      opened = true;
      // A stream's headers tell its client that it is open; an answer brings its own.
      if ("write" in call) call.sendMetadata(new Metadata());
    },
  };
}

function linkToCall(controller: AbortController, call: GrpcCall, clock: Clock, shutdown?: AbortSignal): void {
  const abort = () => controller.abort(reasonOf(call, clock));
  if (call.cancelled) abort();
  else call.once("cancelled", abort);
  if (!shutdown) return;
  const stop = () => controller.abort(shutdown.reason);
  if (shutdown.aborted) stop();
  else shutdown.addEventListener("abort", stop, { once: true });
  call.once("close", () => shutdown.removeEventListener("abort", stop));
}

function remainingMs(call: GrpcCall, clock: Clock): number | undefined {
  const deadline = call.getDeadline();
  const atMs = deadline instanceof Date ? deadline.getTime() : deadline;
  return Number.isFinite(atMs) ? Math.max(0, atMs - clock.nowMs()) : undefined;
}

function reasonOf(call: GrpcCall, clock: Clock): Error {
  return remainingMs(call, clock) === 0
    ? new DOMException("the deadline passed", "TimeoutError")
    : new DOMException("the client cancelled", "AbortError");
}
