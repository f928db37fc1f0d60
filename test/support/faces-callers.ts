import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { DeadExecutionService } from "../../gen/carillon/v1/dead_execution_pb.ts";
import { ExecutionService } from "../../gen/carillon/v1/execution_pb.ts";
import { JobService } from "../../gen/carillon/v1/job_pb.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { type Address, formatAddress } from "../../services/platform/process/environment.ts";
import { RpcError } from "../../services/platform/rpc/errors/rpc-error.ts";
import { createGrpcClient } from "../../services/platform/rpc/grpc/grpc-client.ts";
import { readMessage } from "../../services/platform/rpc/json/json-reader.ts";
import { fromConnectError } from "./connect-refusal.ts";

/** One way in. Refusals arrive as RpcError, whatever they looked like on the wire. */
export interface Caller {
  readonly name: string;
  readonly jobs: Client<typeof JobService>;
  readonly executions: Client<typeof ExecutionService>;
  readonly dead: Client<typeof DeadExecutionService>;
  close(): void;
}

export function createCallers(grpc: Address, http: Address, token?: string): Caller[] {
  const clock = { clock: systemClock };
  const grpcConfig = { address: grpc, ...(token !== undefined && { token }) };
  const grpcJobs = createGrpcClient(JobService, grpcConfig, clock);
  const grpcExecutions = createGrpcClient(ExecutionService, grpcConfig, clock);
  const grpcDead = createGrpcClient(DeadExecutionService, grpcConfig, clock);
  const baseUrl = `http://${formatAddress(http)}`;
  const authorization = token === undefined ? undefined : `Bearer ${token}`;
  const options = {
    baseUrl,
    httpVersion: "1.1" as const,
    interceptors: [
      (next) => (request) => {
        if (authorization !== undefined) request.header.set("authorization", authorization);
        return next(request);
      },
    ] satisfies Parameters<typeof createConnectTransport>[0]["interceptors"],
  };
  return [
    {
      name: "gRPC",
      jobs: grpcJobs,
      executions: grpcExecutions,
      dead: grpcDead,
      close() {
        grpcJobs.close();
        grpcDead.close();
        grpcExecutions.close();
      },
    },
    overTransport("Connect JSON", createConnectTransport({ ...options, useBinaryFormat: false })),
    overTransport("Connect binary", createConnectTransport({ ...options, useBinaryFormat: true })),
    overTransport("gRPC-Web", createGrpcWebTransport(options)),
    ...overHttp2(baseUrl, options.interceptors),
    {
      name: "REST",
      jobs: restClient(JobService, baseUrl, authorization),
      executions: restClient(ExecutionService, baseUrl, authorization),
      dead: restClient(DeadExecutionService, baseUrl, authorization),
      close: () => undefined,
    },
  ];
}

/** The same port, by those who know beforehand that it speaks HTTP/2. */
function overHttp2(baseUrl: string, interceptors: Interceptor[]): Caller[] {
  const sessionManager = new Http2SessionManager(baseUrl);
  const options = { baseUrl, httpVersion: "2" as const, interceptors, sessionManager };
  const close = () => sessionManager.abort();
  return [
    overTransport("gRPC over HTTP", createGrpcTransport(options), close),
    overTransport("Connect over HTTP/2", createConnectTransport({ ...options, useBinaryFormat: false }), close),
    overTransport("gRPC-Web over HTTP/2", createGrpcWebTransport(options), close),
  ];
}

function overTransport(name: string, transport: Transport, close: () => void = () => undefined): Caller {
  return {
    name,
    jobs: translated(createClient(JobService, transport)),
    executions: translated(createClient(ExecutionService, transport)),
    dead: translated(createClient(DeadExecutionService, transport)),
    close,
  };
}

/** The same client, with ConnectError read back into RpcError. */
function translated<C extends object>(client: C): C {
  const translate = (error: unknown): never => {
    throw error instanceof ConnectError ? fromConnectError(error) : error;
  };
  return new Proxy(client, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        const result = method.apply(target, args);
        if (Symbol.asyncIterator in result) {
          return (async function* () {
            try {
              yield* result;
            } catch (error) {
              translate(error);
            }
          })();
        }
        return result.catch(translate);
      };
    },
  });
}

/** What curl would do, for the calls that the contract suite makes. */
// biome-ignore lint/suspicious/noExplicitAny: the JSON of any request
const restPaths: Record<string, (request: any) => [verb: string, path: string, body?: unknown]> = {
  createJob: ({ job, requestId }) => ["POST", `/jobs${requestId ? `?request_id=${requestId}` : ""}`, job ?? {}],
  batchCreateJobs: ({ requests }) => ["POST", "/jobs:batchCreate", { requests }],
  getJob: ({ jobId }) => ["GET", `/jobs/${encodeURIComponent(jobId)}`],
  listJobs: ({ pageSize }) => ["GET", `/jobs${pageSize === undefined ? "" : `?page_size=${pageSize}`}`],
  deleteJob: ({ jobId, etag }) => ["DELETE", `/jobs/${jobId}${etag ? `?etag=${etag}` : ""}`],
  pauseJob: ({ jobId }) => ["POST", `/jobs/${jobId}:pause`],
  backfillJob: ({ jobId }) => ["POST", `/jobs/${jobId}:backfill`],
  previewSchedule: (request) => ["POST", "/schedules:preview", request],
  listExecutions: ({ jobId }) => ["GET", `/jobs/${jobId}/executions`],
  getExecution: ({ executionId }) => ["GET", `/executions/${executionId}`],
  watchExecutions: ({ jobId }) => ["GET", `/jobs/${jobId}/executions:watch`],
  listDeadExecutions: ({ jobId, ...query }) => ["GET", `${deadPath(jobId)}?${new URLSearchParams(query)}`],
  redriveExecutions: ({ jobId, ...body }) => ["POST", `${deadPath(jobId)}:redrive`, body],
};

function deadPath(jobId: string | undefined): string {
  return jobId === undefined ? "/dead-executions" : `/jobs/${jobId}/dead-executions`;
}

function restClient<S extends DescService>(service: S, baseUrl: string, authorization: string | undefined): Client<S> {
  const send = async (method: DescMethod, request: Record<string, never>, accept: string, signal?: AbortSignal) => {
    const json = toJson(method.input, create(method.input, request));
    const [verb, path, body] = restPaths[method.localName]?.(json) ?? [];
    const response = await fetch(`${baseUrl}${path}`, {
      method: verb ?? "GET",
      headers: { accept, ...(authorization !== undefined && { authorization }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    }).catch(asCancelled);
    if (!response.ok) throw fromErrorBody((await response.json()) as ErrorBody);
    return response;
  };
  const read = (method: DescMethod, json: unknown): Message =>
    // Through the binary form, so that a field of the wrong kind would not pass.
    fromBinary(method.output, toBinary(method.output, readMessage(method.output, json)));
  const methods = service.methods.map((method) => [
    method.localName,
    method.methodKind === "unary"
      ? async (request: Record<string, never>) => read(method, await (await send(method, request, "*/*")).json())
      : async function* (request: Record<string, never>, options?: { signal?: AbortSignal }) {
          const response = await send(method, request, "application/x-ndjson", options?.signal);
          yield* (async function* () {
            for await (const line of linesOf(response)) {
              const json = JSON.parse(line);
              // A stream that was cut short says so in its last line.
              if (json.error) throw fromErrorBody(json);
              yield read(method, json);
            }
          })();
        },
  ]);
  return Object.fromEntries(methods) as Client<S>;
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  let text = "";
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read().catch(asCancelled)) ?? { done: true, value: undefined };
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    yield* lines;
  }
}

function asCancelled(error: unknown): never {
  const cancelled = error instanceof Error && error.name === "AbortError";
  throw cancelled ? new RpcError("CANCELLED", "cancelled", { reason: "CANCELLED" }) : error;
}

interface ErrorBody {
  error: {
    status: ConstructorParameters<typeof RpcError>[0];
    message: string;
    details: {
      reason?: string;
      metadata?: Record<string, string>;
      field_violations?: { field: string; description: string }[];
    }[];
  };
}

function fromErrorBody({ error }: ErrorBody): RpcError {
  return new RpcError(error.status, error.message, {
    reason: error.details[0]?.reason ?? "",
    metadata: error.details[0]?.metadata ?? {},
    fieldViolations: error.details.find((detail) => detail.field_violations)?.field_violations ?? [],
  });
}
