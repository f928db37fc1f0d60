import { setMaxListeners } from "node:events";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { Clock } from "../../process/clock.ts";
import { type Address, formatAddress } from "../../process/environment.ts";
import type { Startable } from "../../process/lifecycle.ts";
import type { Log } from "../../process/log.ts";
import type { BoundMethod, BoundService } from "../call-context.ts";
import { stoppingError } from "../errors/rpc-error.ts";
import { streamHandler, unaryHandler } from "./grpc-call.ts";
import { endStreamsOn } from "./grpc-shutdown.ts";
import { createReflection } from "./reflection.ts";

export interface GrpcServerConfig {
  /** Port 0 picks a free one. */
  address: Address;
  /** Larger requests are refused with RESOURCE_EXHAUSTED. Default: 16 MiB. */
  maxRequestBytes?: number;
  /** How long calls in flight may take to end when the server stops. Default: 3 s. */
  drainMs?: number;
}

export interface GrpcServer extends Startable {
  /** Where it listens; the port is the real one once it has started. */
  address(): Address;
}

const defaultMaxRequestBytes = 16 * 1024 * 1024;
const defaultDrainMs = 3_000;
// A client that vanished without a word is noticed, so that its streams end.
const keepaliveMs = 30_000;

/** Native gRPC for bound services, with the health and reflection services beside them. */
export function createGrpcServer(
  config: GrpcServerConfig,
  deps: { services: readonly BoundService[]; log: Log; clock: Clock },
): GrpcServer {
  const shutdown = new AbortController();
  // Each open stream listens to it.
  setMaxListeners(0, shutdown.signal);
  const descs = deps.services.map(({ desc }) => desc);
  const ours = new Set(deps.services.flatMap(({ methods }) => methods.map(({ desc }) => pathOf(desc))));
  const reflection = createReflection(descs);
  const server = new Server({
    "grpc.max_receive_message_length": config.maxRequestBytes ?? defaultMaxRequestBytes,
    "grpc.keepalive_time_ms": keepaliveMs,
    "grpc.keepalive_timeout_ms": keepaliveMs / 3,
    interceptors: [reflection.interceptor, endStreamsOn(shutdown.signal, (path) => ours.has(path))],
  });
  for (const service of deps.services) {
    server.addService(definitionOf(service), implementationOf(service, deps.clock, shutdown.signal));
  }
  const names = ["", ...descs.map(({ typeName }) => typeName)];
  const health = new HealthImplementation();
  // From start to stop.
  const setServing = (serving: boolean) => {
    for (const name of names) health.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
  };
  setServing(false);
  health.addToServer(server);
  reflection.addTo(server);

  let bound = config.address;
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  return {
    address: () => bound,
    start() {
      starting ??= listen(server, config.address).then((port) => {
        bound = { host: config.address.host, port };
        setServing(true);
        deps.log.info({ event: "grpc_listening", address: formatAddress(bound) });
      });
      return starting;
    },
    stop() {
      stopping ??= (async () => {
        await starting?.catch(() => undefined);
        setServing(false);
        shutdown.abort(stoppingError());
        await drain(server, config.drainMs ?? defaultDrainMs, deps);
      })();
      return stopping;
    },
  };
}

function listen(server: Server, address: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(formatAddress(address), ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}

/** No new calls; those in flight may end; what is left after the span is cut off. */
function drain(server: Server, drainMs: number, deps: { log: Log; clock: Clock }): Promise<void> {
  return new Promise((resolve) => {
    const cancel = deps.clock.after(drainMs, () => {
      deps.log.warn({ event: "grpc_calls_cut_off", drainMs });
      server.forceShutdown();
      resolve();
    });
    server.tryShutdown(() => {
      cancel();
      resolve();
    });
  });
}

function definitionOf(service: BoundService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.desc.name, methodDefinition(method)]));
}

function methodDefinition({ desc }: BoundMethod): MethodDefinition<Buffer, Buffer> {
  return {
    path: pathOf(desc),
    requestStream: false,
    responseStream: desc.methodKind === "server_streaming",
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

function pathOf(desc: DescMethod): string {
  return `/${desc.parent.typeName}/${desc.name}`;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function implementationOf(service: BoundService, clock: Clock, shutdown: AbortSignal): UntypedServiceImplementation {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.desc.name,
      method.kind === "unary" ? unaryHandler(method, clock) : streamHandler(method, clock, shutdown),
    ]),
  );
}
