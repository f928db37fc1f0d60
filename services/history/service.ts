import { ExecutionService } from "../../gen/carillon/v1/execution_pb.ts";
import { createBroker } from "../platform/jetstream/broker.ts";
import { type Startable, startInOrder } from "../platform/process/lifecycle.ts";
import { createOpsServer } from "../platform/process/ops-server.ts";
import type { Service, ServiceDeps } from "../platform/process/service.ts";
import { bindService, createCallPipeline } from "../platform/rpc/binding.ts";
import { createGrpcServer } from "../platform/rpc/grpc/grpc-server.ts";
import { HistoryService } from "../wire/history-service.ts";
import { createStreamKeeper } from "../wire/stream-keeper.ts";
import type { HistoryConfig } from "./config.ts";
import { createHistoryMetrics } from "./history-metrics.ts";
import { createExecutionHandlers } from "./queries/execution-service.ts";
import { createHistoryHandlers } from "./queries/history-service.ts";
import { createWatchers, watchersDefaults } from "./queries/watchers.ts";
import { createBacklogPoll } from "./results/backlog-poll.ts";
import { createRecorder } from "./results/recorder.ts";
import { createSqliteHistoryStore } from "./store/sqlite/sqlite-history-store.ts";

/**
 * Starts from the inside out, so that what is recorded already can be read
 * while the broker is still away. Stops in this order:
 *
 * 1. intake: no further results are taken;
 * 2. flush: those taken are committed and acknowledged;
 * 3. broker: the acknowledgements are sent, the connection closed;
 * 4. watchers: their streams end with UNAVAILABLE, after everything committed was sent;
 * 5. gRPC: calls in flight are answered;
 * 6. the store is closed, then the operators' port.
 */
export function createHistory(config: HistoryConfig, deps: ServiceDeps): Service {
  const { clock, log } = deps;
  const metrics = createHistoryMetrics(deps.metrics);
  const store = createSqliteHistoryStore({ folder: config.folder });
  const watchers = createWatchers(watchersDefaults, { onCount: (count) => metrics.watchers.set(count) });
  const pipeline = createCallPipeline(
    { tokens: config.internalToken === undefined ? [] : [config.internalToken] },
    deps,
  );
  const grpc = createGrpcServer(
    { address: config.grpcAddress },
    {
      clock,
      log,
      services: [
        bindService(ExecutionService, createExecutionHandlers({ store, watchers }), pipeline),
        bindService(HistoryService, createHistoryHandlers({ store }), pipeline),
      ],
    },
  );
  const broker = createBroker({ url: config.natsUrl, name: "carillon-history" }, deps);
  const keeper = createStreamKeeper(broker, deps, config);
  const recorder = createRecorder({ broker, store, metrics, clock, log, onEnded: watchers.announce });
  let recording = false;
  const ops = createOpsServer({
    address: config.opsAddress,
    metrics: deps.metrics,
    ready: () => recording && broker.connected() && recorder.healthy(),
    log,
  });

  // The last to start and the first to stop: readiness goes before anything else does.
  const announced: Startable = {
    async start() {
      recording = true;
    },
    async stop() {
      recording = false;
    },
  };
  const parts = startInOrder([
    ops,
    store,
    grpc,
    watchers,
    broker,
    keeper,
    createBacklogPoll(broker, metrics.backlog, deps),
    recorder,
    announced,
  ]);
  return { ...parts, addresses: () => ({ grpc: grpc.address(), ops: ops.address() }) };
}
