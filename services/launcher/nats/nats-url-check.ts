import { tryBroker } from "../../platform/jetstream/try-broker.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Address } from "../../platform/process/environment.ts";
import { greeting } from "./nats-server.ts";

// It may be started at the same time as this system.
const patienceMs = 5_000;
const pollMs = 100;
const advice = "correct NATS_URL, or leave it out: then a server is started here";

/**
 * What is wrong with the broker that NATS_URL names, and what to do about it, in one sentence; undefined when one of
 * its servers takes us and has JetStream, or will have it once its cluster is complete, and when the signal is aborted.
 */
export async function complaintOfNatsUrl(
  url: string,
  servers: readonly Address[],
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const giveUpAtMs = clock.monotonicMs() + patienceMs;
  while (!signal.aborted) {
    const greetings = await Promise.all(servers.map(({ host, port }) => greeting(host, port)));
    if (greetings.includes("nats")) return signal.aborted ? undefined : complaintOfServer(url);
    if (greetings.every((one) => one === "foreign")) {
      return `NATS_URL: what answers at ${url} is no NATS server: ${advice}.`;
    }
    if (clock.monotonicMs() >= giveUpAtMs) {
      const why = [...new Set(greetings)].join(", ");
      return `NATS_URL: no NATS server answers at ${url} (${why}): start it with JetStream, ${advice}.`;
    }
    await sleep(clock, pollMs, signal);
  }
  return undefined;
}

/** What a client is told. */
async function complaintOfServer(url: string): Promise<string | undefined> {
  switch (await tryBroker(url)) {
    case "no JetStream":
      return `NATS_URL: the server at ${url} has JetStream switched off: start it with JetStream (nats-server -js), ${advice}.`;
    case "no credentials":
      return `NATS_URL: the server at ${url} asks for credentials, and Carillon has none: open it to this machine, ${advice}.`;
    default:
      // The services wait for one that will be ready.
      return undefined;
  }
}
