import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { askAll } from "../../../services/platform/jetstream/ask-all.ts";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { type Nats, startNats } from "../../support/nats.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const text = (answers: Uint8Array[]) => answers.map((answer) => Buffer.from(answer).toString()).sort();

describe("asking everybody", () => {
  let nats: Nats;
  let broker: Broker;
  let asker: Broker;

  beforeAll(async () => {
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "listens" }, deps);
    asker = createBroker({ url: nats.url, name: "asks" }, deps);
    await broker.start();
    await asker.start();
  });
  afterAll(async () => {
    await asker.stop();
    await broker.stop();
    await nats.stop();
  });

  const listen = async (subject: string, ...answers: string[]) => {
    for (const answer of answers)
      broker.nc.subscribe(subject, { callback: (_, message) => void message.respond(answer) });
    await broker.nc.flush();
  };
  const ask = (subject: string, enough: (answers: readonly Uint8Array[]) => boolean, timeoutMs = 60_000) =>
    askAll(asker, { subject, data: new Uint8Array(), timeoutMs, enough }, deps);

  it("gathers what they answer until there is enough", async () => {
    await listen("some", "a", "b", "c");
    expect(text(await ask("some", (answers) => answers.length === 3))).toEqual(["a", "b", "c"]);
  });

  it("ends at once where nobody listens", async () => {
    expect(await ask("nobody", () => false)).toEqual([]);
  });

  it("is content with what has come when the time is up", async () => {
    await listen("few", "a");
    expect(text(await ask("few", () => false, 300))).toEqual(["a"]);
  });

  it("ends with the connection, and asks nobody over none", async () => {
    await listen("late", "a");
    const come = Promise.withResolvers<void>();
    const asked = ask("late", () => {
      come.resolve();
      return false;
    });
    await come.promise;
    await nats.stop();
    expect(text(await asked)).toEqual(["a"]);
    expect(await ask("late", () => false)).toEqual([]);
  });
});
