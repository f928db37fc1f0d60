import { ExecutionService } from "../../gen/carillon/v1/execution_pb.ts";
import { createBroker } from "../platform/jetstream/broker.ts";
import { conditionOf } from "../platform/process/conditions.ts";
import { type Startable, startInOrder } from "../platform/process/lifecycle.ts";
import { createOpsServer } from "../platform/process/ops-server.ts";
import type { Service, ServiceDeps } from "../platform/process/service.ts";
import { bindService, createCallPipeline } from "../platform/rpc/binding.ts";
import { createGrpcServer } from "../platform/rpc/grpc/grpc-server.ts";
import { HistoryService } from "../wire/history-service.ts";
import { createStreamKeeper } from "../wire/stream-keeper.ts";
import type { HistoryConfig } from "./config.ts";
import { createHistoryMetrics } from "./history-metrics.ts";
import { askOverBroker, createCallsOnTheWire } from "./queries/calls-on-the-wire.ts";
import { createExecutionHandlers } from "./queries/execution-service.ts";
import { createHistoryHandlers } from "./queries/history-service.ts";
import { createLiveExecutors } from "./queries/live-executors.ts";
import { createUnended } from "./queries/unended.ts";
import { createWatchers, watchersDefaults } from "./queries/watchers.ts";
import { createBacklogPoll } from "./results/backlog-poll.ts";
import { createRecorder } from "./results/recorder.ts";
import { createDeletionFollower } from "./retention/deletion-follower.ts";
import { createRetention } from "./retention/retention.ts";
import { createSqliteHistoryStore } from "./store/sqlite/sqlite-history-store.ts";

// The larger the write-ahead log, the less of it is written twice. Where room is scarce it takes a small part.
const mostLogBytes = 200 * 1024 * 1024;
const logShare = 1 / 16;
// What watches go on by.
const mostEndingsBytes = 64 * 1024 * 1024;
const endingsShare = 1 / 64;

/**
 * Starts from the inside out, so that what is recorded already can be read
 * while the broker is still away. Stops in this order:
 *
 * 1. intake: no further results are taken;
 * 2. flush: those taken are committed and acknowledged; then nothing more is heard of deleted jobs, and nothing forgotten;
 * 3. broker: the acknowledgements are sent, the connection closed;
 * 4. watchers: their streams end with UNAVAILABLE, after everything committed was sent;
 * 5. gRPC: calls in flight are answered;
 * 6. the store is closed, then the operators' port.
 */
export function createHistory(config: HistoryConfig, deps: ServiceDeps): Service {
  const { clock, log } = deps;
  const metrics = createHistoryMetrics(deps.metrics);
  const { retentionSeconds, maxBytes } = config;
  const store = createSqliteHistoryStore({
    folder: config.folder,
    ...(maxBytes !== undefined && {
      logBytes: Math.min(mostLogBytes, maxBytes * logShare),
      endingsBytes: Math.min(mostEndingsBytes, maxBytes * endingsShare),
    }),
  });
  const watchers = createWatchers(watchersDefaults, { clock, onCount: (count) => metrics.watchers.set(count) });
  const pipeline = createCallPipeline(
    { tokens: config.internalToken === undefined ? [] : [config.internalToken] },
    deps,
  );
  const broker = createBroker({ url: config.natsUrl, name: "carillon-history" }, deps);
  const executors = createLiveExecutors(broker, deps);
  const unended = createUnended({
    store,
    calls: createCallsOnTheWire(askOverBroker(broker, deps), executors, deps),
    clock,
  });
  const grpc = createGrpcServer(
    { address: config.grpcAddress },
    {
      clock,
      log,
      services: [
        bindService(ExecutionService, createExecutionHandlers({ store, unended, watchers }), pipeline),
        bindService(HistoryService, createHistoryHandlers({ store }), pipeline),
      ],
    },
  );
  const keeper = createStreamKeeper(broker, deps, config);
  const retention = createRetention({ retentionSeconds, maxBytes }, { store, metrics, clock, log });
  const { makeRoom } = retention;
  const recorder = createRecorder({ broker, store, makeRoom, metrics, clock, log, onEnded: watchers.announce });
  let recording = false;
  const ops = createOpsServer({
    address: config.opsAddress,
    metrics: deps.metrics,
    metricsToken: config.opsToken,
    ready: () => [
      conditionOf("broker", broker.connected() ? undefined : "the broker is away: results wait there"),
      conditionOf("storage", recorder.trouble() ?? store.trouble()),
      conditionOf("recording", recording ? undefined : "it starts or stops, and records nothing"),
    ],
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
    executors,
    createBacklogPoll(broker, metrics.backlog, deps),
    retention,
    createDeletionFollower({ broker, store, makeRoom, clock, log }),
    recorder,
    announced,
  ]);
  return { ...parts, addresses: () => ({ grpc: grpc.address(), ops: ops.address() }) };
}
