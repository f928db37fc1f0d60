import { afterAll, beforeAll, expect, it } from "vitest";
import {
  createLaneDirectory,
  type LaneDirectory,
  type Waiting,
} from "../../../services/executor/lanes/lane-directory.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { laneOf } from "../../../services/wire/lane.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type ExecutorRig, startExecutorRig } from "../../support/executor-rig.ts";
import { eventually } from "../../support/rest.ts";

const mib = 1024 * 1024;
const [large, small] = ["http://large", "http://small"] as const;

let rig: ExecutorRig;
let directory: LaneDirectory;
let waiting: Waiting | undefined;
let retry: [bytes: number, maxBytes: number] | undefined;

beforeAll(async () => {
  rig = await startExecutorRig();
  for (const name of [streams.lanes, streams.running, streams.retry])
    await rig.broker.jsm.streams.update(name, { max_bytes: mib });
  directory = createLaneDirectory(rig.broker, {
    clock: systemClock,
    log: createLog("test", "silent"),
    onWaiting: (told) => {
      waiting = told;
    },
    onRunningStream: () => undefined,
    onRetryBytes: (...told) => {
      retry = told;
    },
  });
  await directory.start();
});
afterAll(async () => {
  await directory.stop();
  await rig.stop();
});

/** Stores so many messages of a size, and waits until the directory has heard of them. */
async function fill(subject: string, count: number, bytes: number): Promise<void> {
  for (let i = 0; i < count; i++) await rig.publisher.publish(subject, new Uint8Array(bytes));
  const told = waiting;
  // The second word from now on was asked for after they were stored.
  const next = await eventually(
    async () => waiting,
    (now) => now !== told,
  );
  await eventually(
    async () => waiting,
    (now) => now !== next,
  );
}

it("shuts a lane that has more than its share of the bytes of a stream that is nearly full, then all, and never for its messages alone", async () => {
  const lane = (origin: string) => subjects.lane(laneOf(origin, "all"));
  const mayFill = () => [large, small].map((origin) => directory.mayFill(origin, "all"));
  directory.noteMessage(laneOf(large, "all"), 100_000);
  directory.noteMessage(laneOf(small, "all"), 1_000);
  await fill(lane(small), 100, 1_000);
  await fill(lane(large), 5, 100_000);
  expect(waiting?.lanes.get(laneOf(small, "all"))).toBe(100);
  expect(mayFill()).toEqual([true, true]);
  await fill(lane(large), 3, 100_000);
  expect(mayFill()).toEqual([false, true]);
  await fill(lane(large), 1, 90_000);
  expect(mayFill()).toEqual([false, false]);
  await rig.broker.jsm.streams.purge(streams.lanes);
  await fill(lane(small), 1, 1_000);
  expect(mayFill()).toEqual([true, true]);
});

it("shuts a lane that is filled within a second, before the broker tells of it", async () => {
  await rig.broker.jsm.streams.purge(streams.lanes);
  await fill(subjects.lane(laneOf(small, "all")), 1, 1_000);
  const told = waiting;
  for (let i = 0; i < 8; i++) directory.notePut(laneOf(large, "all"), 100_000);
  expect(directory.mayFill(large, "all")).toBe(true);
  directory.notePut(laneOf(large, "all"), 100_000);
  expect([directory.mayFill(large, "all"), directory.mayFill(small, "all")]).toEqual([false, true]);
  expect(waiting).toBe(told);
  // It is still on its way, and not in what the broker tells.
  await fill(subjects.lane(laneOf(small, "all")), 1, 1_000);
  expect([directory.mayFill(large, "all"), directory.mayFill(small, "all")]).toEqual([false, true]);
  // None of it was stored.
  directory.noteAnswered(laneOf(large, "all"), 900_000);
  await fill(subjects.lane(laneOf(small, "all")), 1, 1_000);
  expect(directory.mayFill(large, "all")).toBe(true);
});

it("says that RUNNING takes no more records once it is half full, unless LANES is full as well", async () => {
  expect(directory.takesRecords()).toBe(true);
  await fill(subjects.running("run"), 6, 100_000);
  expect(waiting?.runs.get("run")).toBe(6);
  expect(directory.takesRecords()).toBe(false);
  await fill(subjects.lane(laneOf(large, "all")), 10, 100_000);
  expect(directory.takesRecords()).toBe(true);
});

it("tells how much is in RETRY", async () => {
  await fill(subjects.retry(0), 5, 100_000);
  const [bytes = 0, maxBytes] = retry ?? [];
  expect(Math.floor(bytes / 1_000)).toBe(500);
  expect(maxBytes).toBe(mib);
});

it("counts on what was told last for ten asks that fail, and then no more: nobody is turned away on a guess", async () => {
  // As it is when something of the broker answers no more: each ask fails, and goes on when the test says so.
  let broken = false;
  let goOn = () => {};
  const failed: number[] = [];
  const told: [number, number][] = [];
  const { jsm } = rig.broker;
  const info: typeof jsm.streams.info = (...question) =>
    broken ? Promise.reject(new Error("no answer")) : jsm.streams.info(...question);
  const broker = Object.create(rig.broker, {
    jsm: { value: { streams: { info } } },
    ensure: {
      value: () =>
        new Promise<void>((resolve) => {
          failed.push(failed.length + 1);
          goOn = resolve;
        }),
    },
  }) as typeof rig.broker;
  await rig.broker.jsm.streams.purge(streams.lanes);
  for (let i = 0; i < 10; i++)
    await rig.publisher.publish(subjects.lane(laneOf(large, "all")), new Uint8Array(100_000));
  const guessing = createLaneDirectory(broker, {
    clock: { ...systemClock, after: (delayMs, callback) => systemClock.after(delayMs / 100, callback) },
    log: createLog("test", "silent"),
    onWaiting: () => undefined,
    onRunningStream: () => undefined,
    onRetryBytes: (...bytes) => void told.push(bytes),
  });
  await guessing.start();
  expect(guessing.mayFill(small, "all")).toBe(false);
  broken = true;
  for (let asks = 1; asks <= 10; asks++) {
    await eventually(
      async () => failed.length,
      (count) => count === asks,
    );
    expect(guessing.mayFill(small, "all")).toBe(false);
    expect(told.at(-1)).not.toEqual([0, 0]);
    goOn();
  }
  await eventually(
    async () => guessing.mayFill(small, "all"),
    (may) => may,
  );
  expect(told.at(-1)).toEqual([0, 0]);
  await guessing.stop();
  goOn();
});
