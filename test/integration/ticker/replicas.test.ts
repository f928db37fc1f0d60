import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { partitionCount } from "../../../services/domain/identity/partition.ts";
import { createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { secondOf, systemClock, systemRandom } from "../../../services/platform/process/clock.ts";
import { startInOrder } from "../../../services/platform/process/lifecycle.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { defaultTickerSettings } from "../../../services/ticker/core/ticker-settings.ts";
import { createDriver } from "../../../services/ticker/io/driver.ts";
import { createNamesakes } from "../../../services/ticker/io/namesakes.ts";
import { createTickerMetrics } from "../../../services/ticker/io/ticker-metrics.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { eventually } from "../../support/rest.ts";
import { mainOf, type Program, runProgram } from "../../support/service-process.ts";
import { killed, missingSeconds, startTickerRig, type TickerRig } from "../../support/ticker-rig.ts";

const everySecond = "* * * * * *";
const jobId = "017f22e2-79b0-7cc3-98c4-000000000000";

let rig: TickerRig;
let programs: Program[];
let connections: { stop(): Promise<void> }[];
beforeEach(async () => {
  rig = await startTickerRig();
  programs = [];
  connections = [];
});
afterEach(async () => {
  for (const { child } of programs) await killed(child);
  for (const connection of connections.reverse()) await connection.stop();
  await rig.stop();
});

const log = createLog("replicas", "silent");
const deps = { clock: systemClock, log };
const reaches = (second: number) => () => Math.max(0, ...rig.secondsOf(jobId)) >= second;
const ownsAll = (ticker: string) => () => rig.lastTick(ticker)?.partitions.length === partitionCount;

async function connected() {
  const broker = createBroker({ url: rig.nats.url, name: "replicas" }, deps);
  await broker.start();
  connections.push(broker);
  return broker;
}

/** A ticker as a process whose log can be read. */
function startTicker(id: string): Program {
  const program = runProgram([mainOf("ticker")], {
    env: {
      NATS_URL: rig.nats.url,
      CARILLON_TICKER_ID: id,
      CARILLON_TICKER_GRPC_ADDR: "127.0.0.1:0",
      CARILLON_OPS_ADDR: "127.0.0.1:0",
      CARILLON_LOG_LEVEL: "debug",
    },
  });
  programs.push(program);
  return program;
}

/** A ticker as far as its id goes. */
async function namesake(name: string) {
  const broker = await connected();
  const errors: string[] = [];
  const namesakes = createNamesakes(broker, deps, {
    ticker: "a",
    run: name,
    host: name,
    onTaken: ({ message }) => errors.push(message),
  });
  connections.push(namesakes);
  return { namesakes, errors };
}

describe("a second live ticker under one id", () => {
  it("refuses to start and says why in a sentence, and the first one goes on as if nothing had been", async () => {
    const first = startTicker("a");
    const createdMs = systemClock.nowMs();
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs: createdMs });
    await rig.until("owning all", ownsAll("a"));
    const { code, stdout } = await startTicker("a").ended;
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /another ticker that is alive, on \S+, has the id \\"a\\": give each ticker a CARILLON_TICKER_ID/,
    );
    const now = secondOf(systemClock.nowMs());
    await rig.until("going on", reaches(now + 2));
    expect(missingSeconds(rig.secondsOf(jobId), secondOf(createdMs) + 1)).toEqual([]);
    expect(first.lines.filter(({ event }) => event === "partition_lost")).toEqual([]);
  });

  it("ends as soon as it hears of the first one, where they were out of each other's sight at its start", async () => {
    const pair = [await namesake("one"), await namesake("two")];
    // At the same instant: neither listens yet while the other asks.
    await Promise.all(pair.map(({ namesakes }) => namesakes.start()));
    await eventually(
      () => Promise.resolve(pair.flatMap(({ errors }) => errors)),
      (errors) => errors.length > 0,
    );
    // Each has heard all that was said by the time that a third one asks and is answered.
    const third = await namesake("three");
    await expect(third.namesakes.start()).rejects.toThrow(/has the id "a"/);
    expect(pair.flatMap(({ errors }) => errors)).toHaveLength(1);
  });

  it("starts at once where the one before was killed", async () => {
    const first = startTicker("a");
    await rig.until("owning all", ownsAll("a"));
    await killed(first.child);
    const second = startTicker("a");
    await second.logged("started");
    expect(second.lines.filter(({ event }) => event === "ticker_id_free")).toHaveLength(1);
  });

  it("starts as soon as the one before has ended, which it waits for", async () => {
    const first = await namesake("one");
    await first.namesakes.start();
    const { nc } = await connected();
    const twice = Promise.withResolvers<void>();
    let asked = 0;
    nc.subscribe(subjects.tickerPresence("a"), {
      callback: (_, { reply }) => reply && ++asked === 2 && twice.resolve(),
    });
    await nc.flush();
    const second = await namesake("two");
    const started = second.namesakes.start();
    // Answered once, it asks again.
    await Promise.race([twice.promise, started]);
    await first.namesakes.stop();
    await started;
    expect([...first.errors, ...second.errors]).toEqual([]);
  });
});

describe("the ticks of a ticker that is gone for good", () => {
  it("are removed by the others, and no second is missed over it", async () => {
    const { jsm } = await connected();
    const gone = rig.spawnTicker("gone");
    const createdMs = systemClock.nowMs();
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs: createdMs });
    await rig.until("the first second", reaches(secondOf(createdMs) + 1));
    await killed(gone);
    const broker = await connected();
    const publisher = createPublisher(broker, deps);
    const driver = createDriver(
      {
        ...defaultTickerSettings,
        ticker: "next",
        partitions: partitionCount,
        limits: { entries: 100, bytes: 100_000 },
        forgetAfterMs: defaultTickerSettings.deadAfterMs,
      },
      {
        broker,
        duePublisher: publisher,
        controlPublisher: publisher,
        clock: systemClock,
        log,
        metrics: createTickerMetrics(createMetrics("ticker")),
        nonce: Math.floor(systemRandom() * 2 ** 52).toString(36),
      },
    );
    const parts = startInOrder([publisher, driver]);
    connections.push(parts);
    await parts.start();
    const subjectsLeft = async () => {
      const { state } = await jsm.streams.info(streams.ticks, { subjects_filter: subjects.ticks });
      return Object.keys(state.subjects ?? {});
    };
    await eventually(subjectsLeft, (left) => left.join() === subjects.tick("next"));
    await rig.until("going on", reaches(secondOf(systemClock.nowMs()) + 2));
    expect(missingSeconds(rig.secondsOf(jobId), secondOf(createdMs) + 1)).toEqual([]);
  });
});
