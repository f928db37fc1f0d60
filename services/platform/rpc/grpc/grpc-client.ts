import { create, type DescMethod, type DescService, fromBinary, type Message } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type CallOptions,
  type ClientReadableStream,
  credentials,
  Client as GrpcChannel,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { StatusSchema } from "../../../../gen/google/rpc/status_pb.ts";
import type { Clock } from "../../process/clock.ts";
import { type Address, formatAddress } from "../../process/environment.ts";
import { fromStatus } from "../errors/error-details.ts";
import { RpcError } from "../errors/rpc-error.ts";
import { encodeMessage } from "./grpc-call.ts";

export interface GrpcClientConfig {
  address: Address;
  /** Sent as a bearer token. */
  token?: string;
  /** Deadline of a unary call that names none. Default: 5 s. Streams have none. */
  timeoutMs?: number;
  /** Larger answers are refused. Default: 16 MiB. */
  maxResponseBytes?: number;
  /** How long nothing may come of a server with calls under way before it is asked whether it is there, twice. Default: 3 s. */
  quietMs?: number;
}

/**
 * Connect's typed client; of its call options timeoutMs and signal count, and
 * onHeader for streams: the server has opened it. Failures are RpcError.
 */
export type GrpcClient<S extends DescService> = Client<S> & { close(): void };

interface Options {
  timeoutMs?: number;
  signal?: AbortSignal;
  onHeader?: (headers: Headers) => void;
}

/** A connection, and when the last answer came over it; monotonic. */
interface Link {
  readonly channel: GrpcChannel;
  answeredAtMs: number;
}

/** Ends of calls that may be nobody's word but this side's. */
const withoutAnswer: ReadonlySet<status> = new Set([status.DEADLINE_EXCEEDED, status.UNAVAILABLE, status.CANCELLED]);
// A call that was left less time than this says nothing of its server: a user's deadline may be a millisecond.
const leastWaitMs = 500;
const defaultQuietMs = 3_000;
const defaultTimeoutMs = 5_000;
const defaultMaxResponseBytes = 16 * 1024 * 1024;

/**
 * Calls between services. grpc-js waits ever longer before it connects again to
 * a server that is gone; here each call after a failed connection connects at
 * once, and finds the address of its name anew, so that a restarted service is found by the next call. So does
 * a call after one that had no answer in half a second or more, if no other had one since it began: where the machine behind an address is
 * gone nobody says so. Constructing it does not connect.
 */
export function createGrpcClient<S extends DescService>(
  desc: S,
  config: GrpcClientConfig,
  deps: { clock: Clock },
): GrpcClient<S> {
  const metadata = new Metadata();
  if (config.token !== undefined) metadata.set("authorization", `Bearer ${config.token}`);
  const connect = () =>
    new GrpcChannel(formatAddress(config.address), credentials.createInsecure(), {
      "grpc.max_receive_message_length": config.maxResponseBytes ?? defaultMaxResponseBytes,
      // Its backoff must not be shared with the channel that replaces it.
      "grpc.use_local_subchannel_pool": 1,
      // Streams have no deadline by which they would find out.
      "grpc.keepalive_time_ms": config.quietMs ?? defaultQuietMs,
      "grpc.keepalive_timeout_ms": config.quietMs ?? defaultQuietMs,
    });
  let link: Link | undefined;
  let closed = false;
  const current = () => {
    if (closed) throw new RpcError("CANCELLED", "the client is closed", { reason: "CLIENT_CLOSED" });
    link ??= { channel: connect(), answeredAtMs: Number.NEGATIVE_INFINITY };
    return link;
  };
  const answered = (used: Link) => {
    used.answeredAtMs = deps.clock.monotonicMs();
  };
  const toRpcError = (error: ServiceError, used: Link, begunAtMs: number): RpcError => {
    if (!withoutAnswer.has(error.code)) answered(used);
    const waited = deps.clock.monotonicMs() - begunAtMs >= leastWaitMs;
    const silent = error.code === status.DEADLINE_EXCEEDED && waited && used.answeredAtMs < begunAtMs;
    if ((error.code === status.UNAVAILABLE || silent) && used === link) {
      link = undefined;
      // What is under way on it goes on.
      used.channel.close();
    }
    return decodeError(error);
  };
  const callOptions = (options: Options | undefined, fallbackMs: number | undefined): CallOptions => {
    const timeoutMs = options?.timeoutMs ?? fallbackMs;
    return timeoutMs === undefined ? {} : { deadline: deps.clock.nowMs() + timeoutMs };
  };

  const unary = (method: DescMethod) => (input: Record<string, unknown>, options?: Options) =>
    new Promise<Message>((resolve, reject) => {
      const used = current();
      options?.signal?.throwIfAborted();
      const begunAtMs = deps.clock.monotonicMs();
      const call = used.channel.makeUnaryRequest(
        pathOf(method),
        (request: Message) => encodeMessage(method.input, request),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        create(method.input, input),
        metadata,
        callOptions(options, config.timeoutMs ?? defaultTimeoutMs),
        (error, response) => {
          options?.signal?.removeEventListener("abort", abort);
          if (error) return reject(toRpcError(error, used, begunAtMs));
          answered(used);
          resolve(response as Message);
        },
      );
      const abort = () => call.cancel();
      options?.signal?.addEventListener("abort", abort, { once: true });
    });

  const stream = (method: DescMethod) =>
    async function* (input: Record<string, unknown>, options?: Options): AsyncGenerator<Message> {
      const used = current();
      options?.signal?.throwIfAborted();
      const begunAtMs = deps.clock.monotonicMs();
      const call: ClientReadableStream<Message> = used.channel.makeServerStreamRequest(
        pathOf(method),
        (request: Message) => encodeMessage(method.input, request),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        create(method.input, input),
        metadata,
        callOptions(options, undefined),
      );
      // Headers carry nothing between our services but that they have come.
      call.once("metadata", () => options?.onHeader?.(new Headers()));
      const abort = () => call.cancel();
      options?.signal?.addEventListener("abort", abort, { once: true });
      try {
        for await (const response of call) {
          answered(used);
          yield response as Message;
        }
      } catch (error) {
        throw isServiceError(error) ? toRpcError(error, used, begunAtMs) : error;
      } finally {
        options?.signal?.removeEventListener("abort", abort);
        call.cancel();
      }
    };

  const methods = desc.methods.map((method) => {
    if (method.methodKind === "unary") return [method.localName, unary(method)];
    if (method.methodKind === "server_streaming") return [method.localName, stream(method)];
    throw new Error(`${desc.typeName}.${method.name}: client streaming is not served`);
  });
  const close = () => {
    closed = true;
    link?.channel.close();
    link = undefined;
  };
  return { ...Object.fromEntries(methods), close } as GrpcClient<S>;
}

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error;
}

function decodeError(error: ServiceError): RpcError {
  const bytes = error.metadata.get("grpc-status-details-bin")[0];
  if (bytes instanceof Uint8Array) {
    try {
      return fromStatus(fromBinary(StatusSchema, bytes));
    } catch {
      // Details of another make: the status itself still counts.
    }
  }
  return fromStatus({ code: error.code, message: error.details, details: [] });
}
