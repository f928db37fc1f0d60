import { hostname } from "node:os";
import { partitionCount } from "../domain/identity/partition.ts";
import { createBroker } from "../platform/jetstream/broker.ts";
import { createPublisher } from "../platform/jetstream/publisher.ts";
import type { Condition } from "../platform/process/conditions.ts";
import { startInOrder } from "../platform/process/lifecycle.ts";
import { createOpsServer } from "../platform/process/ops-server.ts";
import type { Service, ServiceDeps } from "../platform/process/service.ts";
import { createGrpcServer } from "../platform/rpc/grpc/grpc-server.ts";
import { maxBatchBytes, maxBatchEntries } from "../wire/due-batch.ts";
import { createStreamKeeper } from "../wire/stream-keeper.ts";
import type { TickerConfig } from "./config.ts";
import { defaultTickerSettings } from "./core/ticker-settings.ts";
import { createDriver } from "./io/driver.ts";
import { createNamesakes } from "./io/namesakes.ts";
import { createTickerMetrics, registerTickerGauges } from "./io/ticker-metrics.ts";

// A heartbeat that was not acknowledged by then is sent again, well within the 2 s after which publishing stops.
const controlAckTimeoutMs = 600;
const controlWindow = 256;
// How far its seconds may lie ahead of the clock, beside the lead: more than clocks are corrected by in passing.
const readyAheadMs = 5_000;

/**
 * Stops in this order:
 *
 * 1. health says NOT_SERVING;
 * 2. seconds: no further one is begun, what is under way is acknowledged, the
 *    partitions are given back with their watermarks (see driver.ts);
 * 3. publishers, then the connection: nothing is under way any more;
 * 4. the operators' port.
 */
export function createTicker(config: TickerConfig, deps: ServiceDeps): Service {
  const { clock, log } = deps;
  const broker = createBroker({ url: config.natsUrl, name: `carillon-ticker-${config.tickerId}` }, deps);
  const keeper = createStreamKeeper(broker, deps, config);
  const duePublisher = createPublisher(broker, deps, { window: defaultTickerSettings.maxOutstanding });
  const controlPublisher = createPublisher(broker, deps, { window: controlWindow, ackTimeoutMs: controlAckTimeoutMs });
  const limits = { entries: maxBatchEntries, bytes: maxBatchBytes };
  const nonce = Math.floor(deps.random() * 2 ** 52).toString(36);
  const namesakes = createNamesakes(broker, deps, {
    ticker: config.tickerId,
    run: nonce,
    host: hostname(),
    // As with any failure that nobody can handle, the process ends: what it owns is taken over under the same id.
    onTaken: (error) => void Promise.reject(error),
  });
  const driver = createDriver(
    { ...defaultTickerSettings, ticker: config.tickerId, partitions: partitionCount, limits },
    {
      broker,
      duePublisher,
      controlPublisher,
      clock,
      log,
      metrics: createTickerMetrics(deps.metrics),
      nonce,
    },
  );
  registerTickerGauges(deps.metrics, { clock, status: driver.status });
  const grpc = createGrpcServer({ address: config.grpcAddress }, { services: [], clock, log });
  const ops = createOpsServer({
    address: config.opsAddress,
    metrics: deps.metrics,
    metricsToken: config.opsToken,
    ready: () => {
      const { informed, fenced, highestSecond } = driver.status();
      // After the wall clock was set back nothing is due until it has caught up.
      const aheadMs = (highestSecond ?? 0) * 1000 - clock.nowMs();
      return [
        condition("broker", broker.connected(), "connected", "not connected to the broker"),
        condition(
          "informed",
          informed,
          "knows claims, tickers and jobs",
          "does not know yet the claims, the other tickers, or all jobs of its partitions",
        ),
        condition(
          "publishing",
          !fenced,
          "its ticks are acknowledged",
          "publishes nothing: its ticks are not acknowledged in time, and others may have taken over",
        ),
        condition(
          "clock",
          aheadMs <= defaultTickerSettings.leadMs + readyAheadMs,
          "the wall clock is with the timetable",
          "the wall clock was set back: nothing is due until it has caught up",
        ),
      ];
    },
    log,
  });
  const parts = startInOrder([ops, broker, namesakes, keeper, duePublisher, controlPublisher, driver, grpc]);
  return { ...parts, addresses: () => ({ grpc: grpc.address(), ops: ops.address() }) };
}

function condition(name: string, ok: boolean, holds: string, fails: string): Condition {
  return { name, ok, message: ok ? holds : fails };
}
