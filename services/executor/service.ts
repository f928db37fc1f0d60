import { createBroker } from "../platform/jetstream/broker.ts";
import { createConsumerLoop } from "../platform/jetstream/consumer-loop.ts";
import { createFollower } from "../platform/jetstream/follower.ts";
import { createPublisher } from "../platform/jetstream/publisher.ts";
import { createGuardedLookup } from "../platform/net/address-guard.ts";
import { createNameResolver } from "../platform/net/name-resolver.ts";
import { createNameServers } from "../platform/net/name-servers.ts";
import { conditionOf } from "../platform/process/conditions.ts";
import { type Startable, startInOrder } from "../platform/process/lifecycle.ts";
import { createLoadMeter } from "../platform/process/load-meter.ts";
import { createOpsServer } from "../platform/process/ops-server.ts";
import type { Service, ServiceDeps } from "../platform/process/service.ts";
import { createGrpcServer } from "../platform/rpc/grpc/grpc-server.ts";
import { createStreamKeeper } from "../wire/stream-keeper.ts";
import { consumers, streams } from "../wire/streams.ts";
import { jobIdOfSubject, subjects } from "../wire/subjects.ts";
import { createCallCache } from "./calls/call-cache.ts";
import { createHttpCaller, type HttpCaller } from "./calls/http-caller.ts";
import type { ExecutorConfig } from "./config.ts";
import { drain } from "./drain.ts";
import { createExecutorMetrics } from "./executor-metrics.ts";
import { createDueIntake } from "./intake/due-intake.ts";
import { createHistoryLookup } from "./intake/history-lookup.ts";
import type { IntakeDeps } from "./intake/intake.ts";
import { createLaneIntake } from "./intake/lane-intake.ts";
import { createRetryIntake } from "./intake/retry-intake.ts";
import { createExecutorBeats } from "./lanes/executor-beats.ts";
import { createLaneDirectory } from "./lanes/lane-directory.ts";
import { createLanePublisher } from "./lanes/lane-publisher.ts";
import { createLaneReader, type LaneAccount, type LaneReader, laneAccounts } from "./lanes/lane-reader.ts";
import { createRunningRecords } from "./lanes/running-records.ts";
import { createAttemptRules } from "./results/attempt-rules.ts";
import { createDeadLetters } from "./results/dead-letters.ts";
import { createResultPublisher } from "./results/result-publisher.ts";
import { createRetryPublisher } from "./results/retry-publisher.ts";
import { createRetryRoom } from "./results/retry-room.ts";
import { createRunningCallsAnswers } from "./running-calls.ts";
import { createSettlements, type Settlements } from "./settling/settlements.ts";
import { createJobLookup } from "./verdict/job-lookup.ts";
import { createJobStates } from "./verdict/job-states.ts";

// What messages of lanes may take in memory, by account.
const laneBytes: Readonly<Record<LaneAccount, number>> = {
  [laneAccounts.draining]: 64 * 1024 * 1024,
  [laneAccounts.tried]: 64 * 1024 * 1024,
  [laneAccounts.leftBehind]: 32 * 1024 * 1024,
};

// Results that the broker has not stored: their calls are made again when this process ends. Where there are so many RESULTS
// takes nothing, and no further calls are taken in: at 30,000 a second some 2,000 are on their way to it.
const mostUnrecorded = 20_000;

/** Wires an executor. Parts start in the order of the list at the end, and stop in reverse. */
export function createExecutor(config: ExecutorConfig, { metrics: registry, ...deps }: ServiceDeps): Service {
  const { clock, log } = deps;
  const broker = createBroker({ url: config.natsUrl, name: `carillon-executor-${config.executorId}` }, deps);
  const keeper = createStreamKeeper(broker, deps, config);
  // One for each stream: what a full one keeps waiting must not stand in the window in front of the others.
  const publishers = {
    results: createPublisher(broker, deps),
    retries: createPublisher(broker, deps),
    lanes: createPublisher(broker, deps),
    running: createPublisher(broker, deps),
    dead: createPublisher(broker, deps),
  };
  const states = createJobStates(deps);
  const lookup = createJobLookup(broker, states, deps);
  /** This start of this executor, also as a token of subjects. */
  const run = `${config.executorId.replaceAll(/[^\w-]/g, "_")}-${clock.nowMs().toString(36)}`;
  const results = createResultPublisher(publishers.results, deps, run);
  const retries = createRetryPublisher(publishers.retries, deps);
  const retryRoom = createRetryRoom();
  const history = createHistoryLookup(
    {
      address: config.historyAddress,
      timeoutMs: config.historyTimeoutMs,
      ...(config.internalToken === undefined ? {} : { token: config.internalToken }),
    },
    deps,
  );
  const names = createNameServers(deps, config.nameServers.length > 0 ? { servers: config.nameServers } : {});
  const dueSettlements = createSettlements(deps);
  const retrySettlements = createSettlements(deps);
  const laneSettlements = createSettlements(deps);
  const runSettlements = createSettlements(deps);
  const settlements = [dueSettlements, retrySettlements, laneSettlements, runSettlements];
  const sum = (read: (one: Settlements) => number) => settlements.reduce((total, one) => total + read(one), 0);

  const beats = createExecutorBeats(broker, deps, run);
  const running = createRunningRecords(broker, publishers.running, deps, run);
  const directory = createLaneDirectory(broker, {
    ...deps,
    onWaiting: (waiting) => reader.update(waiting),
    onRunningStream: running.noteStream,
    onRetryBytes: (bytes, maxBytes) => retryRoom.update(bytes, maxBytes, clock.nowMs()),
  });
  const lanes = createLanePublisher(publishers.lanes, {
    ...deps,
    onMoved: (lane) => reader.moved(lane),
    onMessage: (lane, bytes) => directory.noteMessage(lane, bytes),
    onPut: (lane, bytes) => directory.notePut(lane, bytes),
    onAnswered: (lane, bytes) => directory.noteAnswered(lane, bytes),
    atomic: () => directory.atomic(),
  });

  const dead = createDeadLetters(publishers.dead, { ...deps, atomic: () => directory.atomic() });

  const metrics = createExecutorMetrics(registry, {
    inFlight: () => caller.inFlight(),
    waiting: () => caller.waiting(),
    held: () => due.held() + retry.held(),
    settlementPending: () => sum((one) => one.pending()),
    settlementBytes: () => sum((one) => one.bytes()),
    runningRecords: () => running.pending(),
    lanes: () => reader.lanes(),
  });
  const rules = createAttemptRules({
    ...deps,
    states,
    results,
    retries,
    lanes,
    running,
    dead,
    metrics,
    mayFill: directory.mayFill,
    retryRoom,
  });
  const caller: HttpCaller = createHttpCaller({
    ...deps,
    admit: rules.admit,
    onEnd: rules.ended,
    move: rules.move,
    outlive: rules.outlive,
    isDoubtful: rules.isDoubtful,
    isStale: rules.isStale,
    takesRecords: () => directory.takesRecords(),
    review: (attempt) => laned.review(attempt),
    load: createLoadMeter(),
    lookup: createGuardedLookup(createNameResolver(names, deps)),
  });
  const answers = createRunningCallsAnswers(broker, { caller, log }, run);
  const shared: Omit<IntakeDeps, "settlements"> = {
    ...deps,
    calls: createCallCache(),
    caller,
    states,
    lookup,
    history,
    metrics,
    recordsCalls: () => results.pending() < mostUnrecorded,
    admit: rules.admit,
  };
  const due = createDueIntake({ ...shared, settlements: dueSettlements });
  const retry = createRetryIntake({ ...shared, settlements: retrySettlements });
  const laned = createLaneIntake({ ...shared, settlements: laneSettlements });
  const left = createLaneIntake({ ...shared, settlements: runSettlements });
  const reader: LaneReader = createLaneReader(broker, {
    ...deps,
    wanted: ({ origin, kind }) => (origin === undefined || !kind ? 1 : caller.wantedOfLane(origin, kind)),
    hasRoom: (account) =>
      shared.recordsCalls() && laneSettlements.bytes(account) + runSettlements.bytes(account) < laneBytes[account],
    mayLive: beats.mayLive,
    take: (message, ...how) => (message.stream === streams.running ? left : laned).take(message, ...how),
  });

  const changes = createFollower(broker, deps, {
    stream: streams.jobs,
    subjects: [subjects.jobs],
    from: "new",
    onMessage: (message) => {
      states.note(jobIdOfSubject(message.subject), message.data);
      beats.saw(message.seq);
    },
    onCaughtUp: () => states.markFollowed(),
    onReset: () => {
      states.markLost();
      // Sequences begin again.
      beats.saw(0);
    },
  });
  /** When the stop began. */
  let toldMs: number | undefined;
  const draining: Startable = {
    start: async () => undefined,
    stop: () =>
      drain({
        clock,
        log,
        caller,
        intakes: [due, retry, laned, left],
        settlements,
        stored: [retries, results, lanes, dead],
        toldMs: toldMs ?? clock.monotonicMs(),
      }),
  };
  const dueLoop = createConsumerLoop(broker, deps, {
    stream: streams.due,
    durable: consumers.due,
    room: due.room,
    onMessage: due.onMessage,
  });
  const retryLoop = createConsumerLoop(broker, deps, {
    stream: streams.retry,
    durable: consumers.retry,
    room: retry.room,
    onMessage: retry.onMessage,
  });
  // What is on its way takes a second at most: of both together.
  const loops: Startable = {
    async start() {
      await retryLoop.start();
      await dueLoop.start();
    },
    async stop() {
      toldMs = clock.monotonicMs();
      await Promise.all([retryLoop.stop(), dueLoop.stop()]);
    },
  };
  const ops = createOpsServer({
    address: config.opsAddress,
    metrics: registry,
    metricsToken: config.opsToken,
    ready: () => [
      conditionOf("broker", !broker.connected() && "the broker is away: due occurrences wait there"),
      conditionOf(
        "changes",
        !Number.isFinite(states.completeSinceMs()) && "changes of jobs are not followed: a paused job may be called",
      ),
      conditionOf("due", dueLoop.trouble()),
      conditionOf("retries", retryLoop.trouble() ?? publishers.retries.trouble()),
      conditionOf("results", publishers.results.trouble()),
      conditionOf("lanes", publishers.lanes.trouble()),
      conditionOf("running", publishers.running.trouble()),
      conditionOf("dead", publishers.dead.trouble()),
    ],
    log,
  });
  const grpc = createGrpcServer({ address: config.grpcAddress }, { services: [], log, clock });

  const parts = startInOrder([
    ops,
    broker,
    keeper,
    ...Object.values(publishers),
    history,
    changes,
    // Stopped before what their acknowledgements need, after what makes results.
    ...settlements,
    results,
    retries,
    lanes,
    dead,
    running,
    // History stops asking with the last sign of life.
    answers,
    // What this run leaves behind is others' business from its last word on.
    beats,
    draining,
    directory,
    reader,
    grpc,
    // Stopped before all others.
    loops,
  ]);
  return { ...parts, addresses: () => ({ grpc: grpc.address(), ops: ops.address() }) };
}
