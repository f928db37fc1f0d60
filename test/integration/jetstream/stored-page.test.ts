import { headers, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { removeStored } from "../../../services/platform/jetstream/remove-stored.ts";
import { readStoredPage } from "../../../services/platform/jetstream/stored-page.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { type Nats, startNats } from "../../support/nats.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const stream = "LETTERS";

async function connect(nats: Nats): Promise<Broker> {
  const broker = createBroker({ url: nats.url, name: "test" }, deps);
  await broker.start();
  return broker;
}

describe("a page of a stream", () => {
  let nats: Nats;
  let broker: Broker;
  const read = async (over: Partial<Parameters<typeof readStoredPage>[2]> = {}) => {
    const request = { stream, subject: undefined, from: { sequence: 1 }, maxMessages: 10, maxBytes: 1e6, ...over };
    const { messages, goesOn } = await readStoredPage(broker, systemClock, request);
    return { sequences: messages.map(({ sequence }) => sequence), goesOn, messages };
  };

  beforeAll(async () => {
    nats = await startNats();
    broker = await connect(nats);
    await broker.jsm.streams.add({ name: stream, subjects: ["l.*"], allow_direct: true });
    for (const subject of ["l.a", "l.b", "l.a", "l.a", "l.b"]) await broker.js.publish(subject, subject.repeat(10));
  });
  afterAll(async () => {
    await broker.stop();
    await nats.stop();
  });

  it("has what is there, from a place on, and tells whether there is more", async () => {
    expect(await read()).toMatchObject({ sequences: [1, 2, 3, 4, 5], goesOn: false });
    expect(await read({ maxMessages: 2 })).toMatchObject({ sequences: [1, 2], goesOn: true });
    expect(await read({ from: { sequence: 3 }, maxMessages: 3 })).toMatchObject({
      sequences: [3, 4, 5],
      goesOn: false,
    });
    expect(await read({ from: { sequence: 6 } })).toMatchObject({ sequences: [], goesOn: false });
  });

  it("has those of one subject", async () => {
    expect(await read({ subject: "l.a", maxMessages: 2 })).toMatchObject({ sequences: [1, 3], goesOn: true });
    expect(await read({ subject: "l.b", from: { sequence: 3 } })).toMatchObject({ sequences: [5], goesOn: false });
    expect(await read({ subject: "l.none" })).toMatchObject({ sequences: [], goesOn: false });
  });

  it("ends at so many bytes, and has one message at least", async () => {
    expect(await read({ maxBytes: 1 })).toMatchObject({ sequences: [1], goesOn: true });
  });

  it("begins at an instant", async () => {
    const { messages } = await read();
    const storedAtMs = messages[2]?.storedAtMs ?? 0;
    const { sequences } = await read({ from: { storedAtMs } });
    expect(sequences).toEqual(messages.filter((one) => one.storedAtMs >= storedAtMs).map((one) => one.sequence));
    expect(await read({ from: { storedAtMs: Date.now() + 60_000 } })).toMatchObject({ sequences: [], goesOn: false });
    expect(String(messages[0]?.data && Buffer.from(messages[0].data))).toBe("l.a".repeat(10));
  });

  it("steps over what was removed, which is removed once", async () => {
    expect(await removeStored(broker, stream, 2)).toBe(true);
    expect(await removeStored(broker, stream, 2)).toBe(false);
    expect(await read()).toMatchObject({ sequences: [1, 3, 4, 5], goesOn: false });
    expect(await read({ from: { sequence: 2 }, maxMessages: 2 })).toMatchObject({ sequences: [3, 4], goesOn: true });
  });

  it("is refused when there is no such stream", async () => {
    await expect(read({ stream: "NONE" })).rejects.toThrow("NONE answered 503");
  });

  it("is refused when the broker is lost meanwhile, and not waited for", async () => {
    broker.nc.subscribe("$JS.API.DIRECT.GET.SILENT", { callback: () => undefined });
    await broker.nc.flush();
    const reading = read({ stream: "SILENT" });
    const refused = expect(reading).rejects.toThrow("the connection was lost meanwhile");
    await nats.restart();
    await refused;
  });
});

describe("a broker that does not know batches", () => {
  it("gives a message at a time, and none at the end", async () => {
    const nats = await startNats({ jetStream: false });
    const broker = await connect(nats);
    serveAsBefore211(broker.nc);
    const read = async (sequence: number) => {
      const request = { stream, subject: "l.a", from: { sequence }, maxMessages: 10, maxBytes: 1e6 };
      const { messages, goesOn } = await readStoredPage(broker, systemClock, request);
      return [messages.map((one) => one.sequence), goesOn];
    };
    expect([await read(1), await read(2), await read(3)]).toEqual([
      [[1], true],
      [[2], true],
      [[], false],
    ]);
    await broker.stop();
    await nats.stop();
  });
});

/** Two messages, as nats-server 2.10 gives them out: it takes no notice of `batch`. */
function serveAsBefore211(nc: NatsConnection): void {
  nc.subscribe(`$JS.API.DIRECT.GET.${stream}`, {
    callback(_, message) {
      const { seq } = message.json<{ seq: number }>();
      if (seq > 2) return message.respond("", { headers: headers(404, "Message Not Found") });
      const head = headers();
      head.set("Nats-Stream", stream);
      head.set("Nats-Subject", "l.a");
      head.set("Nats-Sequence", String(seq));
      head.set("Nats-Time-Stamp", "2026-01-01T00:00:00.000000001Z");
      return message.respond("letter", { headers: head });
    },
  });
}
