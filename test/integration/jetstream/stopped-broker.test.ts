import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { natsReady } from "../../../services/launcher/nats/nats-server.ts";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { type Nats, startNats } from "../../support/nats.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };

describe("one of several brokers that takes connections and says nothing on them", () => {
  let brokers: Nats[];
  let broker: Broker;

  beforeAll(async () => {
    brokers = await Promise.all([startNats({ jetStream: false }), startNats({ jetStream: false })]);
    broker = createBroker({ url: brokers.map(({ url }) => url).join(","), name: "test" }, deps);
    await broker.start();
  });
  afterAll(async () => {
    await broker.stop();
    await Promise.all(brokers.map((nats) => nats.stop()));
  });

  // It is noticed after some 6 s. The client by itself would then wait for it, the first that it tries, for 20 s.
  it("is left for another one, and not waited for", { timeout: 15_000 }, async () => {
    const isCurrent = ({ port }: Nats) => broker.nc.getServer().endsWith(`:${port}`);
    const stopped = brokers.find(isCurrent);
    if (!stopped) throw new Error(`connected to ${broker.nc.getServer()}`);
    const reconnected = new Promise<void>((resolve) => broker.onReconnect(resolve));
    // The system goes on taking connections for it.
    process.kill(stopped.pid, "SIGSTOP");
    await reconnected;
    expect(isCurrent(stopped)).toBe(false);
  });

  it("does not take the connection to the other one away when it goes on, and ends", async () => {
    let losses = 0;
    broker.onDisconnect(() => losses++);
    const stopped = brokers.find(({ port }) => !broker.nc.getServer().endsWith(`:${port}`));
    if (!stopped) throw new Error("it is not left");
    process.kill(stopped.pid, "SIGCONT");
    // It has greeted who came before as well.
    await natsReady("127.0.0.1", stopped.port, systemClock, new AbortController().signal);
    await broker.nc.flush();
    await stopped.kill();
    for (let i = 0; i < 10; i++) await broker.nc.flush();
    expect(losses).toBe(0);
  });
});
