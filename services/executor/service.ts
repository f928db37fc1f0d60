import { createBroker } from "../platform/jetstream/broker.ts";
import { createConsumerLoop } from "../platform/jetstream/consumer-loop.ts";
import { createFollower } from "../platform/jetstream/follower.ts";
import { createPublisher } from "../platform/jetstream/publisher.ts";
import { createGuardedLookup } from "../platform/net/address-guard.ts";
import { createNameResolver } from "../platform/net/name-resolver.ts";
import { createNameServers } from "../platform/net/name-servers.ts";
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
import { createRetryIntake } from "./intake/retry-intake.ts";
import { createAttemptRules } from "./results/attempt-rules.ts";
import { createDeadLetters } from "./results/dead-letters.ts";
import { createResultPublisher } from "./results/result-publisher.ts";
import { createRetryPublisher } from "./results/retry-publisher.ts";
import { createSettlements } from "./settling/settlements.ts";
import { createJobLookup } from "./verdict/job-lookup.ts";
import { createJobStates } from "./verdict/job-states.ts";

// Messages that may lie in this process unread; what is read is bounded by the intakes.
const bufferedMessages = 500;

/** Wires an executor. Parts start in the order of the list at the end, and stop in reverse. */
export function createExecutor(config: ExecutorConfig, { metrics: registry, ...deps }: ServiceDeps): Service {
  const { clock, log } = deps;
  const broker = createBroker({ url: config.natsUrl, name: `carillon-executor-${config.executorId}` }, deps);
  const keeper = createStreamKeeper(broker, deps, { replicas: config.replicas });
  const publisher = createPublisher(broker, deps);
  // Dead letters are one a message: they must not fill the window in front of the results.
  const deadPublisher = createPublisher(broker, deps);
  const states = createJobStates(deps);
  const lookup = createJobLookup(broker, states, deps);
  const sender = `${config.executorId}-${clock.nowMs().toString(36)}`;
  const results = createResultPublisher(publisher, deps, sender);
  const retries = createRetryPublisher(publisher, deps);
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

  const metrics = createExecutorMetrics(registry, {
    inFlight: () => caller.inFlight(),
    waiting: () => caller.waiting(),
    held: () => due.held() + retry.held(),
    settlementPending: () => dueSettlements.pending() + retrySettlements.pending(),
  });
  const rules = createAttemptRules({
    ...deps,
    states,
    results,
    retries,
    dead: createDeadLetters(deadPublisher, log),
    metrics,
  });
  const caller: HttpCaller = createHttpCaller({
    ...deps,
    admit: rules.admit,
    onEnd: rules.ended,
    park: rules.park,
    load: createLoadMeter(),
    lookup: createGuardedLookup(createNameResolver(names, deps)),
  });
  const shared: Omit<IntakeDeps, "settlements"> = {
    ...deps,
    calls: createCallCache(),
    caller,
    states,
    lookup,
    history,
    metrics,
  };
  const due = createDueIntake({ ...shared, settlements: dueSettlements });
  const retry = createRetryIntake({ ...shared, settlements: retrySettlements });

  const changes = createFollower(broker, deps, {
    stream: streams.jobs,
    subjects: [subjects.jobs],
    from: "new",
    onMessage: (message) => states.note(jobIdOfSubject(message.subject), message.data),
    onCaughtUp: () => states.markFollowed(),
    onReset: () => states.markLost(),
  });
  const draining: Startable = {
    start: async () => undefined,
    stop: () =>
      drain({
        clock,
        log,
        caller,
        intakes: [due, retry],
        settlements: [dueSettlements, retrySettlements],
        results,
        retries,
        deadPending: () => deadPublisher.pending(),
      }),
  };
  const dueLoop = createConsumerLoop(broker, deps, {
    stream: streams.due,
    durable: consumers.due,
    maxMessages: bufferedMessages,
    onMessage: due.onMessage,
  });
  const retryLoop = createConsumerLoop(broker, deps, {
    stream: streams.retry,
    durable: consumers.retry,
    maxMessages: bufferedMessages,
    onMessage: retry.onMessage,
  });
  const ops = createOpsServer({
    address: config.opsAddress,
    metrics: registry,
    ready: () => broker.connected(),
    log,
  });
  const grpc = createGrpcServer({ address: config.grpcAddress }, { services: [], log, clock });

  const parts = startInOrder([
    ops,
    broker,
    keeper,
    publisher,
    deadPublisher,
    history,
    changes,
    // Stopped before what their acknowledgements need, after what makes results.
    dueSettlements,
    retrySettlements,
    results,
    retries,
    draining,
    retryLoop,
    dueLoop,
    grpc,
  ]);
  return { ...parts, addresses: () => ({ grpc: grpc.address(), ops: ops.address() }) };
}
