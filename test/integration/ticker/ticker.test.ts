import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { partitionOf } from "../../../services/domain/identity/partition.ts";
import { secondOf, systemClock, systemRandom } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { createTicker } from "../../../services/ticker/service.ts";
import { eventually } from "../../support/rest.ts";
import { killed, missingSeconds, startTickerRig, type TickerRig } from "../../support/ticker-rig.ts";

const everySecond = "* * * * * *";
const nthJobId = (n: number) => `017f22e2-79b0-7cc3-98c4-${n.toString(16).padStart(12, "0")}`;
const jobIds = Array.from({ length: 16 }, (_, n) => nthJobId(n));
const jobId = nthJobId(0);
/** A job of the same partition. */
const neighbour = nthJobId(
  Array.from({ length: 2_000 }, (_, n) => n + 1).find((n) => partitionOf(nthJobId(n)) === partitionOf(jobId)) ?? 0,
);

let rig: TickerRig;
beforeEach(async () => {
  rig = await startTickerRig();
});
afterEach(() => rig.stop());

const reaches = (id: string, second: number) => () => Math.max(0, ...rig.secondsOf(id)) >= second;
const ownsAll = (ticker: string) => () => rig.lastTick(ticker)?.partitions.length === 64;

describe("a ticker", () => {
  it("publishes a job's occurrences for each second from the first after its creation, once", async () => {
    rig.spawnTicker("a");
    await rig.until("owning all", ownsAll("a"));
    const createdMs = systemClock.nowMs();
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs: createdMs });
    const first = secondOf(createdMs) + 1;
    await rig.until("five seconds", reaches(jobId, first + 5));
    expect(rig.secondsOf(jobId).slice(0, 6)).toEqual([0, 1, 2, 3, 4, 5].map((after) => first + after));
  });

  it("stops publishing a paused job", async () => {
    rig.spawnTicker("a");
    const createdMs = systemClock.nowMs();
    const [, other = ""] = jobIds;
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs: createdMs });
    await rig.putJob({ jobId: other, schedule: everySecond, effectiveFromMs: createdMs });
    await rig.until("the first seconds", reaches(jobId, secondOf(createdMs) + 2));
    const effectiveFromMs = systemClock.nowMs();
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs, generation: 2, paused: true });
    // Read after the pause, and published after all that came before the pause.
    await rig.putJob({ jobId: neighbour, schedule: everySecond, effectiveFromMs });
    await rig.until("a job created after the pause", () => rig.secondsOf(neighbour).length > 0);
    const published = [...rig.secondsOf(jobId)];
    await rig.until("the other job going on", reaches(other, Math.max(...published) + 4));
    expect(rig.secondsOf(jobId)).toEqual(published);
  });

  it("that is killed and started again misses no second", async () => {
    const child = rig.spawnTicker("a");
    const createdMs = systemClock.nowMs();
    const first = secondOf(createdMs) + 1;
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs: createdMs });
    await rig.until("the first seconds", reaches(jobId, first + 2));
    await killed(child);
    const later = rig.secondsOf(jobId).length;
    rig.spawnTicker("a");
    await rig.until(
      "going on",
      () => rig.secondsOf(jobId).length > later && reaches(jobId, secondOf(systemClock.nowMs()) + 1)(),
    );
    expect(missingSeconds(rig.secondsOf(jobId), first)).toEqual([]);
  });

  it("gives everything back when it stops, and the next one repeats nothing", async () => {
    const child = rig.spawnTicker("a");
    const createdMs = systemClock.nowMs();
    const first = secondOf(createdMs) + 1;
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs: createdMs });
    await rig.until("the first seconds", reaches(jobId, first + 2));
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    expect(await exit).toEqual([0, null]);
    await rig.until("all free", () => [...rig.claims.values()].every((claim) => claim?.owner === ""));
    expect(rig.claims.get(partitionOf(jobId))?.watermark?.second).toBe(Math.max(...rig.secondsOf(jobId)));
    const before = Math.max(...rig.secondsOf(jobId));
    rig.spawnTicker("b");
    await rig.until("going on", reaches(jobId, before + 3));
    expect(rig.secondsOf(jobId)).toEqual(
      Array.from({ length: rig.secondsOf(jobId).length }, (_, after) => first + after),
    );
  });

  it("goes on where it was when the broker is killed and comes back", async () => {
    rig.spawnTicker("a");
    const createdMs = systemClock.nowMs();
    const first = secondOf(createdMs) + 1;
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs: createdMs });
    await rig.until("the first seconds", reaches(jobId, first + 2));
    await rig.nats.kill("SIGKILL");
    await rig.nats.restart();
    await rig.until("going on", reaches(jobId, secondOf(systemClock.nowMs()) + 3));
    expect(missingSeconds(rig.secondsOf(jobId), first)).toEqual([]);
  });
});

describe("a ticker whose wall clock is set back", () => {
  const startWithClock = async () => {
    let setMs = 0;
    const metrics = createMetrics("ticker");
    const anywhere = { host: "127.0.0.1", port: 0 };
    const ticker = createTicker(
      {
        natsUrl: rig.nats.url,
        replicas: 1,
        brokerMaxBytes: undefined,
        tickerId: "a",
        grpcAddress: anywhere,
        opsAddress: anywhere,
        logLevel: "silent",
        logFormat: "json",
      },
      {
        clock: { ...systemClock, nowMs: () => systemClock.nowMs() + setMs },
        random: systemRandom,
        log: createLog("ticker", "silent"),
        metrics,
      },
    );
    await ticker.start();
    const readiness = async () => (await fetch(`http://127.0.0.1:${ticker.addresses().ops.port}/readyz`)).status;
    const watermarkAge = async () =>
      (await metrics.getSingleMetric("carillon_watermark_age_seconds")?.get())?.values[0]?.value ?? 0;
    const setClock = (ms: number) => {
      setMs += ms;
    };
    return { ticker, readiness, watermarkAge, setClock };
  };

  it("by half a minute is not ready until it has caught up, and shows by how much it waits", async () => {
    const { ticker, readiness, watermarkAge, setClock } = await startWithClock();
    await eventually(readiness, (status) => status === 200);
    setClock(-30_000);
    expect(await readiness()).toBe(503);
    expect(await watermarkAge()).toBeLessThan(-20);
    setClock(30_000);
    await eventually(readiness, (status) => status === 200);
    await ticker.stop();
  });

  it("by an hour fires on at once, and so does the next one behind the watermarks that it left", async () => {
    const first = await startWithClock();
    await eventually(first.readiness, (status) => status === 200);
    await rig.putJob({ jobId, schedule: everySecond, effectiveFromMs: systemClock.nowMs() });
    await rig.until("the first second", () => rig.secondsOf(jobId).length > 0);
    first.setClock(-3_600_000);
    const past = secondOf(systemClock.nowMs()) - 3_600;
    const fires = (from: number) => () => rig.secondsOf(jobId).some((second) => second > from && second < past + 60);
    await rig.until("firing on", fires(past + 2));
    await eventually(first.readiness, (status) => status === 200);
    await first.ticker.stop();
    const next = await startWithClock();
    next.setClock(-3_600_000);
    await rig.until("the next one firing", fires(secondOf(systemClock.nowMs()) - 3_600 + 2));
    await next.ticker.stop();
  });
});

describe("two tickers", () => {
  it("share the partitions, and when one is killed the other takes over and misses nothing", async () => {
    rig.spawnTicker("a");
    const b = rig.spawnTicker("b");
    const createdMs = systemClock.nowMs();
    const first = secondOf(createdMs) + 1;
    for (const id of jobIds) await rig.putJob({ jobId: id, schedule: everySecond, effectiveFromMs: createdMs });
    const half = (ticker: string) => rig.lastTick(ticker)?.partitions.length === 32;
    await rig.until("a fair share", () => half("a") && half("b"));
    await rig.until("each job once", () => jobIds.every((id) => reaches(id, first + 1)()));
    await killed(b);
    await rig.until("the take-over", ownsAll("a"));
    const now = secondOf(systemClock.nowMs());
    await rig.until("all jobs going on", () => jobIds.every((id) => reaches(id, now + 2)()));
    for (const id of jobIds) expect(missingSeconds(rig.secondsOf(id), first)).toEqual([]);
  });

  it("keep their shares and miss nothing when the broker loses its disk and JOBS is filled anew", async () => {
    rig.spawnTicker("a");
    rig.spawnTicker("b");
    const createdMs = systemClock.nowMs();
    const first = secondOf(createdMs) + 1;
    const put = (id: string, effectiveFromMs: number) =>
      rig.putJob({ jobId: id, schedule: everySecond, effectiveFromMs });
    const [fresh = "", ...others] = jobIds;
    for (const id of others) await put(id, createdMs);
    const half = (ticker: string) => rig.lastTick(ticker)?.partitions.length === 32;
    await rig.until("a fair share", () => half("a") && half("b"));
    await rig.until("each job once", () => others.every((id) => reaches(id, first + 1)()));
    await rig.loseTheDisk();
    const lost = secondOf(systemClock.nowMs());
    for (const id of others) await put(id, createdMs);
    const freshMs = systemClock.nowMs();
    await put(fresh, freshMs);
    // Longer than a ticker is silent before another takes it for dead.
    await rig.until("all jobs going on", () => jobIds.every((id) => reaches(id, lost + 12)()));
    for (const id of others) expect(missingSeconds(rig.secondsOf(id), first)).toEqual([]);
    expect(missingSeconds(rig.secondsOf(fresh), secondOf(freshMs) + 1)).toEqual([]);
    await rig.until("each with its share", () => half("a") && half("b"));
    const owners = [...rig.claims.values()].map((claim) => claim?.owner);
    expect([owners.filter((owner) => owner === "a").length, owners.filter((owner) => owner === "b").length]).toEqual([
      32, 32,
    ]);
  }, 60_000);
});
