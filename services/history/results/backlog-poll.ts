import type { Gauge } from "prom-client";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { consumers, streams } from "../../wire/streams.ts";

const pollMs = 2_000;

/** Asks the broker every now and then how much the recorder is behind. */
export function createBacklogPoll(broker: Broker, gauge: Gauge, deps: { clock: Clock; log: Log }): Startable {
  const stopping = new AbortController();
  let started = false;

  const poll = async () => {
    const info = await broker.jsm.consumers.info(streams.results, consumers.results);
    gauge.set(info.num_pending + info.num_ack_pending);
  };
  const loop = async () => {
    while (!stopping.signal.aborted) {
      if (broker.connected()) {
        await poll().catch((error) => deps.log.debug({ event: "backlog_unknown", err: error }));
      }
      await sleep(deps.clock, pollMs, stopping.signal);
    }
  };
  return {
    async start() {
      if (started) return;
      started = true;
      void loop();
    },
    async stop() {
      // A question that is under way may wait for its timeout: nobody needs the answer.
      stopping.abort();
    },
  };
}
