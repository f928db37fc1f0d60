import { setTimeout as pass } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { partitionOf } from "../../../services/domain/identity/partition.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { writeTick } from "../../../services/wire/tick.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { everyHour, followJobs, type Registry, removeDir, startRegistry, tempDir } from "../../support/registry.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

describe("jobs that are never due again", { timeout: 60_000 }, () => {
  let nats: Nats;
  let dataDir: string;
  let registry: Registry;
  let shiftMs = 0;
  /** What the registry does each minute comes when the test says so. */
  let eachMinute: (() => void)[];
  const clock = {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + shiftMs,
    after(delayMs: number, callback: () => void) {
      if (delayMs !== minuteMs) return systemClock.after(delayMs, callback);
      eachMinute.push(callback);
      return () => undefined;
    },
  };
  /** Minutes pass until something holds. */
  const until = async (holds: () => boolean) => {
    while (!holds()) {
      for (const run of eachMinute.splice(0)) run();
      await pass(20);
    }
  };

  beforeEach(async () => {
    shiftMs = 0;
    eachMinute = [];
    nats = await startNats({ sync: "default" });
    dataDir = await tempDir();
    registry = await startRegistry({ dataDir, natsUrl: nats.url }, clock);
  });
  afterEach(async () => {
    await registry.stop();
    await nats.stop();
    await removeDir(dataDir);
  });

  it("leave JOBS once they are published and long past, and the registry keeps them", async () => {
    const { jobs } = registry;
    const at = (ms: number) => ({
      ...everyHour,
      schedule: `@at ${new Date(Math.ceil(ms / 1000) * 1000).toISOString()}`,
    });
    const seconds = (ms: number) => ({ seconds: BigInt(Math.ceil(ms / 1000)) });
    const created = (
      await jobs.batchCreateJobs({
        requests: [
          { job: at(clock.nowMs() + minuteMs) },
          { job: { ...everyHour, endTime: seconds(clock.nowMs() + hourMs) } },
          { job: everyHour },
          ...Array.from({ length: 20 }, () => ({ job: at(clock.nowMs() + minuteMs) })),
        ],
      })
    ).jobs.map(({ jobId }) => jobId);
    const [once, ending, hourly, ...others] = created as [string, string, string, ...string[]];
    const ticking = [once, ending, hourly];
    const ofTheirPartitions = new Set(ticking.map(partitionOf));
    const unpublished = others.find((id) => !ofTheirPartitions.has(partitionOf(id))) ?? "";
    const stream = await followJobs(nats.url);
    const { events } = stream;
    await until(() => [once, ending, hourly, unpublished].every((id) => events.has(id)));

    shiftMs = 4 * hourMs;
    const publisher = createPublisher(stream.broker, { clock: systemClock, log: createLog("test", "silent") });
    await publisher.start();
    const tick = async (second: number, jobIds: readonly string[]) => {
      const partitions = jobIds.map((jobId) => {
        const watermark = { second, jobsSequence: 1_000 };
        return { partition: partitionOf(jobId), epoch: 1, watermark, published: 0 };
      });
      const message = writeTick({ ticker: "a", second, live: true, partitions });
      await publisher.publish(subjects.tick("a"), message, { messageId: `tick-${second}` });
    };
    const now = () => Math.floor(clock.nowMs() / 1000);
    // A partition whose ticker is away for hours owes what it owed.
    await tick(now(), ticking);
    await until(() => events.get(once)?.ended === true && events.get(ending)?.ended === true);
    expect(events.get(once)?.job).toBeUndefined();
    expect([events.get(hourly)?.ended, events.get(unpublished)?.ended]).toEqual([false, false]);
    expect(await jobs.getJob({ jobId: once })).toMatchObject({ state: JobState.COMPLETED, generation: 1 });

    await tick(now() + 1, [unpublished]);
    await until(() => events.get(unpublished)?.ended === true);

    // Its call alone gives nobody a reason to know of it again; a timing does.
    await jobs.updateJob({ job: { jobId: once, displayName: "renamed" } });
    await until(() => events.get(once)?.generation === 2);
    expect(events.get(once)?.ended).toBe(true);
    await jobs.updateJob({ job: { jobId: once, schedule: "@hourly" } });
    await until(() => events.get(once)?.generation === 3);
    expect(events.get(once)).toMatchObject({ ended: false, job: { displayName: "renamed" } });

    await stream.broker.jsm.streams.delete(streams.jobs);
    await publisher.stop();
    await stream.stop();
    const anew = await followJobs(nats.url);
    await anew.until((found) => [once, hourly].every((id) => found.has(id)));
    const last = (await jobs.createJob({ job: everyHour })).jobId;
    await anew.until((found) => found.has(last));
    expect([ending, unpublished].filter((id) => anew.events.has(id))).toEqual([]);
    await anew.stop();
  });
});
