import { join } from "node:path";
import { type NatsConnection, nanos, type Subscription } from "nats";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHistoryMetrics } from "../../../services/history/history-metrics.ts";
import { createWatchers, watchersDefaults } from "../../../services/history/queries/watchers.ts";
import type { ExecutionRecord } from "../../../services/history/records/execution-record.ts";
import { createRecorder, type Recorder } from "../../../services/history/results/recorder.ts";
import type { HistoryStore } from "../../../services/history/store/contract.ts";
import { createSqliteHistoryStore } from "../../../services/history/store/sqlite/sqlite-history-store.ts";
import type { Broker } from "../../../services/platform/jetstream/broker.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { noon } from "../../support/history-results.ts";
import { type HistoryRig, startHistoryRig, wireResult } from "../../support/history-rig.ts";
import { jobNamed } from "../../support/job-ids.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
/** As the recorder has them: what waits, and what is enough for a commit. */
const maxWaiting = 512;
const fullCommit = 5_000;
const jobId = jobNamed("r");
const patience = { timeout: 45_000 };

/** A store whose commits wait until the test lets them go, one at a time, and fail when it says so. */
function holdCommits(store: HistoryStore) {
  const held: (() => void)[] = [];
  /** The seconds of each call, in the order of the calls. */
  const calls: number[][] = [];
  let underWay = 0;
  let mostUnderWay = 0;
  let holding = true;
  let failures = 0;
  return {
    calls,
    mostUnderWay: () => mostUnderWay,
    /** Lets the commit go that is held, and holds the next. */
    next: () => held.shift()?.(),
    fail(commits: number) {
      failures = commits;
    },
    /** Holds no commit any more. */
    letGo() {
      holding = false;
      for (const go of held.splice(0)) go();
    },
    trouble: () => store.trouble(),
    record: (async (results) => {
      calls.push(results.map(({ second }) => second - noon));
      mostUnderWay = Math.max(mostUnderWay, ++underWay);
      try {
        if (holding) await new Promise<void>((go) => held.push(go));
        if (failures-- > 0) throw new Error("the disk is full");
        return await store.record(results);
      } finally {
        underWay--;
      }
    }) satisfies HistoryStore["record"],
  };
}

/** A broker that hands messages over to a pull that nobody listens to any more, and tells of each of them. */
function deaf(broker: Broker, onMessage: () => void) {
  let inbox = "";
  const subscribe: NatsConnection["subscribe"] = (subject, options) => {
    inbox = subject;
    broker.nc.subscribe(subject, {
      ...options,
      callback: (error, message) => {
        options?.callback?.(error, message);
        if (message.data.length > 0) onMessage();
      },
    });
    return { unsubscribe: () => undefined } as Subscription;
  };
  const nc = Object.create(broker.nc, { subscribe: { value: subscribe } });
  return {
    broker: Object.create(broker, { nc: { value: nc } }) as Broker,
    /** What is stored from now on goes to the recorder, whether it asked or not. */
    pull: () =>
      broker.nc.publish(
        `$JS.API.CONSUMER.MSG.NEXT.${streams.results}.${consumers.results}`,
        JSON.stringify({ batch: 10, expires: nanos(60_000) }),
        { reply: inbox.replace("*", "late") },
      ),
  };
}

describe("the recorder", () => {
  let rig: HistoryRig;
  let store: HistoryStore;
  let commits: ReturnType<typeof holdCommits>;
  let recorder: Recorder;
  let ended: ExecutionRecord[];
  const watchers = () => createWatchers(watchersDefaults, { clock: systemClock });
  let live: ReturnType<typeof watchers>;

  beforeEach(async () => {
    rig = await startHistoryRig();
    store = createSqliteHistoryStore({ folder: join(rig.dataDir, "history") });
    await store.start();
    commits = holdCommits(store);
    ended = [];
    live = watchers();
    recorder = recorderOn(rig.broker);
    await recorder.start();
  });
  afterEach(async () => {
    commits.letGo();
    await recorder.stop();
    await store.stop();
    await rig.stop();
  });

  const recorderOn = (broker: Broker) =>
    createRecorder({
      ...deps,
      broker,
      store: commits,
      makeRoom: async () => undefined,
      metrics: createHistoryMetrics(createMetrics("history")),
      onEnded(records, place) {
        ended.push(...records);
        live.announce(records, place);
      },
    });
  /** How long a message may stay unsettled before it is delivered again. */
  const setAckWait = (ackWaitMs: number) =>
    rig.broker.jsm.consumers.update(streams.results, consumers.results, { ack_wait: nanos(ackWaitMs) });
  const publish = async (...offsets: number[]) => {
    for (const offset of offsets) await rig.publish(wireResult(jobId, noon + offset));
  };
  const callsMade = (count: number) => vi.waitFor(() => expect(commits.calls).toHaveLength(count), patience);
  /** The broker has given out so many messages that are not settled. */
  const delivered = (count: number) =>
    vi.waitFor(async () => expect((await rig.consumer()).num_ack_pending).toBe(count), patience);
  const endedSeconds = () => ended.map(({ second }) => second - noon);
  const listed = async () => (await store.list(jobId, 100)).map(({ second }) => second - noon);

  it("takes results again after a commit that failed, and is unhealthy until then", async () => {
    commits.fail(1);
    await rig.publish(wireResult(jobId, noon), wireResult(jobId, noon + 1));
    await callsMade(1);
    expect(recorder.trouble()).toBeUndefined();
    commits.next();
    await callsMade(2);
    expect(recorder.trouble()).toBe("the last commit failed: the disk is full");
    expect(endedSeconds()).toEqual([]);
    commits.next();
    await rig.allRecorded();
    expect(recorder.trouble()).toBeUndefined();
    expect(commits.calls).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(endedSeconds()).toEqual([0, 1]);
  });

  it("makes one commit after the other, and acknowledges and tells of each when it is done", async () => {
    await publish(0);
    await callsMade(1);
    await publish(1, 2, 3);
    await delivered(4);
    expect([await rig.unrecorded(), endedSeconds(), commits.calls.length]).toEqual([4, [], 1]);
    commits.next();
    await callsMade(2);
    await vi.waitFor(async () => expect(await rig.unrecorded()).toBe(3), patience);
    expect(endedSeconds()).toEqual([0]);
    commits.letGo();
    await rig.allRecorded();
    expect(endedSeconds()).toEqual([0, 1, 2, 3]);
    expect(commits.mostUnderWay()).toBe(1);
  });

  it("gives back the messages of a failed commit only, and goes on with what came meanwhile", async () => {
    // So that nothing comes again unless it is given back.
    await setAckWait(3_600_000);
    commits.fail(1);
    await publish(0);
    await callsMade(1);
    await publish(1, 2);
    await delivered(3);
    commits.letGo();
    await rig.allRecorded();
    expect(commits.calls.flat()).toEqual([0, 1, 2, 0]);
    expect(endedSeconds()).toEqual([1, 2, 0]);
  });

  it("stops when the commit under way is done and what came meanwhile is committed as well", async () => {
    await publish(0);
    await callsMade(1);
    await publish(1, 2, 3);
    await delivered(4);
    let stopped = false;
    const stopping = recorder.stop().then(() => {
      stopped = true;
    });
    // Nobody asks the broker for messages any more.
    await vi.waitFor(async () => expect((await rig.consumer()).num_waiting).toBe(0), patience);
    commits.next();
    await callsMade(2);
    expect(stopped).toBe(false);
    commits.letGo();
    await stopping;
    expect(await listed()).toEqual([3, 2, 1, 0]);
    expect(endedSeconds()).toEqual([0, 1, 2, 3]);
    await rig.allRecorded();
  });

  it("leaves what comes after its stop to whoever comes next", async () => {
    await recorder.stop();
    commits.letGo();
    await setAckWait(300);
    let received = 0;
    const { broker, pull } = deaf(rig.broker, () => received++);
    recorder = recorderOn(broker);
    await recorder.start();
    await publish(0);
    await rig.allRecorded();
    await recorder.stop();
    pull();
    await publish(1);
    // It comes again, since nobody has settled it.
    await vi.waitFor(() => expect(received).toBeGreaterThanOrEqual(3), patience);
    expect(commits.calls).toEqual([[0]]);
    expect(await rig.unrecorded()).toBe(1);
  });

  it("stops after a commit that failed, and leaves its messages to whoever comes next", async () => {
    commits.fail(1);
    await publish(0);
    await callsMade(1);
    const stopping = recorder.stop();
    commits.letGo();
    await stopping;
    expect([await rig.unrecorded(), await listed()]).toEqual([1, []]);
  });

  it("holds no more messages than it says while a commit hangs, and commits no more at once", async () => {
    const messages = maxWaiting + 200;
    const perMessage = 30;
    await publish(0);
    await callsMade(1);
    for (let i = 1; i <= messages; i++) {
      const results = Array.from({ length: perMessage }, (_, k) => wireResult(jobNamed(`j${k}`), noon + i));
      await rig.publish(...results);
    }
    // All that the broker gives out; the rest waits there.
    await delivered(maxWaiting);
    commits.letGo();
    await rig.allRecorded();
    expect(ended).toHaveLength(1 + messages * perMessage);
    for (const call of commits.calls) expect(call.length).toBeLessThan(fullCommit + perMessage);
    // Nor any for nothing: what was committed is not counted as waiting.
    expect(commits.calls.map(({ length }) => length)).not.toContain(0);
    expect(commits.mostUnderWay()).toBe(1);
  });

  it("keeps no more copies of what is delivered again and again while a commit hangs", async () => {
    await setAckWait(300);
    await publish(0);
    await callsMade(1);
    for (let i = 1; i <= maxWaiting; i++) await publish(i);
    await vi.waitFor(
      async () => expect((await rig.consumer()).delivered.consumer_seq).toBeGreaterThan(5 * maxWaiting),
      patience,
    );
    commits.letGo();
    await rig.allRecorded();
    expect(new Set(endedSeconds()).size).toBe(maxWaiting + 1);
    expect(ended).toHaveLength(maxWaiting + 1);
    const [, second] = commits.calls;
    expect(second?.length).toBeLessThanOrEqual(maxWaiting);
  });

  it("has what ends with a commit under way told once to who begins to watch meanwhile", async () => {
    await publish(0);
    await callsMade(1);
    const watch = live.watch(jobId);
    watch.listen();
    expect(await listed()).toEqual([]);
    await publish(1);
    await delivered(2);
    commits.letGo();
    await rig.allRecorded();
    watch.close();
    const seen: number[] = [];
    for await (const { record } of watch) if (record) seen.push(record.second - noon);
    expect(seen).toEqual([0, 1]);
    const late = live.watch(jobId);
    late.listen();
    expect(await listed()).toEqual([1, 0]);
    late.close();
    for await (const { record } of late) expect.unreachable(`${record?.second} was told a second time`);
  });
});
