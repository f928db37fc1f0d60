import { DeadExecutionService } from "../../gen/carillon/v1/dead_execution_pb.ts";
import { ExecutionService } from "../../gen/carillon/v1/execution_pb.ts";
import { JobService } from "../../gen/carillon/v1/job_pb.ts";
import { createBroker } from "../platform/jetstream/broker.ts";
import { createPublisher } from "../platform/jetstream/publisher.ts";
import { type Startable, startInOrder } from "../platform/process/lifecycle.ts";
import { createOpsServer } from "../platform/process/ops-server.ts";
import type { Service, ServiceAddresses, ServiceDeps } from "../platform/process/service.ts";
import { bindService, createCallPipeline } from "../platform/rpc/binding.ts";
import { createHttpServer } from "../platform/rpc/front-door/http-server.ts";
import { createGrpcClient } from "../platform/rpc/grpc/grpc-client.ts";
import { createGrpcServer } from "../platform/rpc/grpc/grpc-server.ts";
import { createStreamKeeper } from "../wire/stream-keeper.ts";
import type { RegistryConfig } from "./config.ts";
import { createDeadExecutionService } from "./dead-letters/dead-execution-service.ts";
import { createLetterReader } from "./dead-letters/letter-reader.ts";
import { createRedriver } from "./dead-letters/redriver.ts";
import { createApiDocs } from "./front-door/api-docs.ts";
import { createExecutionProxy } from "./front-door/execution-proxy.ts";
import { firingConditions, reasonNotToFire } from "./front-door/firing-conditions.ts";
import { historyAnswers } from "./front-door/history-answers.ts";
import { createMergedMetrics } from "./front-door/merged-metrics.ts";
import { createPeerAddresses } from "./front-door/peer-addresses.ts";
import { createSystemWatch } from "./front-door/system-watch.ts";
import { createAcceptedRuns } from "./jobs/accepted-runs.ts";
import { createJobService } from "./jobs/job-service.ts";
import { createRequestSweeper } from "./jobs/request-sweeper.ts";
import { createRegistryMetrics } from "./registry-metrics.ts";
import { createBrokerLink, type StreamFill } from "./relay/broker-link.ts";
import { createExecutorsSeen } from "./relay/executors-seen.ts";
import { createJobEndings } from "./relay/job-endings.ts";
import { createJobsRange } from "./relay/jobs-range.ts";
import { createPublicationWait } from "./relay/publication-wait.ts";
import { createRelay } from "./relay/relay.ts";
import { createWatermarks } from "./relay/watermarks.ts";
import { createSqliteRegistryStore } from "./store/sqlite/sqlite-registry-store.ts";

export interface RegistryService extends Service {
  addresses(): Required<ServiceAddresses>;
}

// A batch of 1,000 jobs with some body each; anything else is one job.
const maxBatchRequestBytes = 16 * 1024 * 1024;

export function createRegistry(config: RegistryConfig, deps: ServiceDeps): RegistryService {
  const { clock, random, log, metrics } = deps;
  const store = createSqliteRegistryStore({ dataDir: config.dataDir });
  const broker = createBroker({ url: config.natsUrl, name: "carillon-registry" }, deps);
  const keeper = createStreamKeeper(broker, { clock, log }, config);
  const publisher = createPublisher(broker, { clock, log });
  const executors = createExecutorsSeen(broker, { clock });
  const runsPublisher = createPublisher(broker, { clock, log });
  const runs = createAcceptedRuns(runsPublisher, { clock, up: () => link.up() });
  const wait = createPublicationWait({ clock, publishing: () => link.up(), seen: executors.seen });
  const relay = createRelay(store, publisher, createJobsRange(broker), wait, { clock, log });
  const gauges = createRegistryMetrics(metrics, store);
  const watch = createSystemWatch({
    broker,
    dataDir: config.dataDir,
    askHistory: () => historyAnswers(history),
    clock,
    log,
  });
  const onStream = (stream: StreamFill) => {
    gauges.setBacklog(stream.name, stream.messages);
    watch.noteStream(stream);
  };
  const link = createBrokerLink(
    broker,
    { keeper, publisher, relay, onStream, watch: startInOrder([watch, executors, runsPublisher]) },
    { clock, log },
  );
  const seen = () => ({ ...watch.seen(), linked: link.up(), relayStuckForMs: relay.stuckForMs() });
  const conditions = () => firingConditions(seen());
  const history = createGrpcClient(
    ExecutionService,
    { address: config.historyAddress, ...(config.internalToken !== undefined && { token: config.internalToken }) },
    { clock },
  );

  const pipeline = createCallPipeline({ tokens: config.apiTokens }, { metrics, log, clock });
  const services = [
    bindService(
      JobService,
      createJobService({
        store,
        clock,
        random,
        afterPublication: wait.afterPublication,
        whyNotFiring: () => reasonNotToFire(seen()),
        onRunAccepted: runs.note,
      }),
      pipeline,
    ),
    bindService(ExecutionService, createExecutionProxy({ store, clock, history, runs }), pipeline),
    bindService(
      DeadExecutionService,
      createDeadExecutionService({
        store,
        readLetters: createLetterReader(broker, { clock, log }),
        redrive: createRedriver(broker, { store, clock, log }),
        linked: () => link.up(),
      }),
      pipeline,
    ),
  ];
  const merged = createMergedMetrics(metrics, {
    peers: config.metricsPeers,
    token: config.internalToken,
    addressesOf: createPeerAddresses({ clock }),
  });
  const http = createHttpServer(
    {
      address: config.httpAddress,
      corsOrigins: config.corsOrigins,
      maxBodyBytesOf: {
        "carillon.v1.JobService.BatchCreateJobs": maxBatchRequestBytes,
        "carillon.v1.JobService.BatchUpdateJobs": maxBatchRequestBytes,
      },
    },
    {
      services,
      pipeline,
      probes: { conditions, metrics: merged.metrics },
      faces: [createApiDocs(services, { guarded: config.apiTokens.length > 0 })],
      log,
      clock,
    },
  );
  const grpc = createGrpcServer(
    { address: config.grpcAddress, maxRequestBytes: maxBatchRequestBytes },
    { services, log, clock },
  );
  // Its own work. Whether the whole system does its work the front door says.
  const own = ["broker", "relay", "disk"];
  const ready = () => conditions().filter(({ name }) => own.includes(name));
  const ops = createOpsServer({
    address: config.opsAddress,
    metrics,
    metricsToken: config.opsToken,
    ready,
    log,
  });

  // Stopped in reverse: the front door takes no more calls and ends those in
  // flight, then the connection to history, then the relay with what it has
  // heard from the broker, and the store last, since all of them write to it.
  const parts = startInOrder([
    store,
    ops,
    createRequestSweeper({ store, clock, log }),
    link,
    createJobEndings(store, createWatermarks(broker, log), { clock, log, up: () => link.up() }),
    { start: async () => undefined, stop: async () => history.close() },
    startTogether([http, grpc]),
  ]);
  return { ...parts, addresses: () => ({ http: http.address(), grpc: grpc.address(), ops: ops.address() }) };
}

/** Both doors close at the same time: their grace periods do not add up. */
function startTogether(doors: readonly Startable[]): Startable {
  return {
    async start() {
      await Promise.all(doors.map((door) => door.start()));
    },
    async stop() {
      await Promise.all(doors.map((door) => door.stop()));
    },
  };
}
