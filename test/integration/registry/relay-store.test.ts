import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { partitionOf } from "../../../services/domain/identity/partition.ts";
import { lanes } from "../../../services/registry/store/contract.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { createDice } from "../../simulation/random.ts";
import { change, createIn, creationOf, deleteIn, idOf, jobA, jobB } from "../../support/registry-store-rows.ts";
import { useRelay } from "../../support/relay-rig.ts";
import { watchedStore } from "../../support/watched-store.ts";

describe("the relay over a store that takes its time", { timeout: 60_000 }, () => {
  const rig = useRelay();

  it.each([
    1, 2, 3,
  ])("publishes the last state of each job, never an older one after a newer, however the answers of the store fall (seed %i)", async (seed) => {
    const dice = createDice(seed);
    const pause = async () => {
      for (let turns = dice.between(0, 3); turns > 0; turns--) await nextTurn();
    };
    rig.watch.before = pause;
    rig.watch.after = pause;
    const older: string[] = [];
    const newest = new Map<string, number>();
    void rig.stream.until((events) => {
      for (const [jobId, { generation }] of events) {
        if (generation < (newest.get(jobId) ?? 0)) older.push(jobId);
        newest.set(jobId, generation);
      }
      return false;
    });
    await rig.start();
    const ids = Array.from({ length: 600 }, (_, number) => idOf(number));
    const creations = ids.slice(0, 500).map((jobId) => creationOf(jobId));
    const creating = rig.store.createJobs(creations, { lane: lanes.batchCreate, sinceMs: 0 });
    for (const jobId of ids.slice(500)) void createIn(rig.store, jobId);
    for (let round = 0; round < 40; round++) {
      await Promise.all(ids.slice(round, round + 30).map((jobId) => change(rig.store, jobId)));
      await Promise.all(ids.slice(590).map((jobId) => change(rig.store, jobId)));
    }
    await creating;
    await deleteIn(rig.store, ids[0] ?? "");
    await rig.allWritten();
    const rows = new Map((await rig.store.findStates(ids)).map((row) => [row?.jobId, row?.generation]));
    await rig.stream.until((events) =>
      ids.every((id) => events.get(id)?.generation === (rows.get(id) ?? 0) || id === ids[0]),
    );
    await rig.stream.until((events) => events.get(ids[0] ?? "")?.deleted === true);
    expect(older).toEqual([]);
  });

  it("publishes a change that is committed while the state before it is read, after that or with it", async () => {
    await rig.start();
    const reading = rig.hold("after", "findStates");
    await createIn(rig.store, jobA);
    await reading.held;
    await change(rig.store, jobA);
    await change(rig.store, jobA);
    const generations: number[] = [];
    void rig.stream.until((events) => {
      generations.push(events.get(jobA)?.generation ?? 0);
      return false;
    });
    reading.release();
    await rig.published(jobA, 3);
    await rig.allWritten();
    expect(generations).toEqual(generations.toSorted((a, b) => a - b));
    const { messages } = (await rig.broker.jsm.streams.info(streams.jobs)).state;
    expect(messages).toBe(1);
  });

  it.each([
    "readMark",
    "takeOutbox",
    "findStates",
    "writeReceipts",
  ] as const)("tries again when %s fails, only then, and loses nothing", async (method) => {
    await rig.look();
    let failed = 0;
    rig.watch.before = (called) => {
      if (called !== method) return;
      failed++;
      throw new Error("the database is away");
    };
    // What starts anew knows no mark.
    rig.replaceRelay(watchedStore(rig.store, { before: (called) => rig.watch.before?.(called) }));
    await rig.relay.start();
    await createIn(rig.store, jobA);
    await rig.until(() => failed === 1 && rig.retries.length === 1);
    // Each of these wakes it up.
    for (let number = 0; number < 30; number++) await createIn(rig.store, idOf(number));
    await rig.until(() => method !== "findStates" || rig.stream.events.size === 0);
    const failedAtFirst = failed;
    expect(failedAtFirst).toBeLessThanOrEqual(method === "findStates" ? 31 : 1);
    rig.retryAll();
    await rig.until(() => failed > failedAtFirst && rig.retries.length > 0);
    delete rig.watch.before;
    const all = [jobA, ...Array.from({ length: 30 }, (_, number) => idOf(number))];
    const giveUp = setInterval(rig.retryAll, 20);
    await rig.stream.until((events) => all.every((jobId) => events.has(jobId)));
    await rig.allWritten();
    clearInterval(giveUp);
  });

  it.each([
    "takeOutbox",
    "findStates",
    "writeReceipts",
  ] as const)("stops while it waits for %s, and leaves the rest to the next start", async (method) => {
    await rig.start();
    const waiting = rig.hold("before", method);
    await createIn(rig.store, jobA);
    await waiting.held;
    await change(rig.store, jobA);
    const stopped = rig.relay.stop();
    waiting.release();
    await stopped;
    expect(rig.publisher.pending()).toBe(0);
    await rig.store.stop();
    await rig.store.start();
    const { outbox } = await rig.store.counts();
    expect(outbox).toBeGreaterThanOrEqual(1);
    rig.replaceRelay(rig.store);
    await rig.start();
    await rig.published(jobA, 2);
    await rig.allWritten();
  });

  it("lets the answer to a change come when the broker was told before the store has answered", async () => {
    await rig.start();
    await createIn(rig.store, jobA);
    const changing = rig.hold("after", "changeJob");
    const answered = rig.wait.afterPublication([jobA], async () => ({
      made: new Map([[jobA, (await change(rig.watched, jobA)) ?? 0]]),
    }));
    await changing.held;
    await rig.published(jobA, 2);
    // The receipt comes after the relay has told of it.
    await rig.allWritten();
    changing.release();
    expect(await answered).toEqual({ answer: { made: new Map([[jobA, 2]]) }, unheard: [] });
    expect(rig.retries).toEqual([]);
  });

  it("publishes a change though it takes up no more created jobs until receipts are written", async () => {
    await rig.start();
    await createIn(rig.store, jobA);
    await rig.allWritten();
    const writing = rig.hold("before", "writeReceipts");
    const ids = Array.from({ length: 3_000 }, (_, number) => idOf(number));
    await createIn(rig.store, ...ids);
    // As many as may be under way at once.
    await rig.published(ids[2_047] ?? "", 1);
    await writing.held;
    await change(rig.store, jobA);
    await rig.published(jobA, 2);
    expect(rig.stream.events.has(ids[2_048] ?? "")).toBe(false);
    writing.release();
    await rig.published(ids.at(-1) ?? "", 1);
    await rig.allWritten();
  });

  it("has room for created jobs however often a job changed while its receipt was written", async () => {
    await rig.start();
    const writing = rig.hold("before", "writeReceipts");
    await createIn(rig.store, jobA);
    await writing.held;
    // More than may be under way at once.
    await Promise.all(Array.from({ length: 2_100 }, () => change(rig.store, jobA)));
    writing.release();
    await rig.published(jobA, 2_101);
    await rig.allWritten();
    await createIn(rig.store, jobB);
    await rig.published(jobB, 1);
  });

  it("publishes again what the broker has refused", async () => {
    await rig.start();
    const limit = (bytes: number) => rig.broker.jsm.streams.update(streams.jobs, { max_msg_size: bytes });
    await limit(1);
    await createIn(rig.store, jobA);
    await rig.until(() => rig.retries.length === 1);
    await limit(-1);
    rig.retryAll();
    await rig.published(jobA, 1);
    await rig.allWritten();
  });

  it("lets a tombstone stand for a week, and every other state for good", async () => {
    await rig.start();
    const expiryOf = async (jobId: string) => {
      const subject = subjects.job(partitionOf(jobId), jobId);
      return (await rig.broker.jsm.streams.getMessage(streams.jobs, { last_by_subj: subject })).header.get("Nats-TTL");
    };
    await createIn(rig.store, jobA);
    await rig.published(jobA, 1);
    expect(await expiryOf(jobA)).toBe("");
    await deleteIn(rig.store, jobA);
    await rig.published(jobA, 2);
    expect(await expiryOf(jobA)).toBe("604800");
  });

  it("publishes with the next look what it was given no hint of", async () => {
    const deaf = watchedStore({ ...rig.store, onOutbox: () => () => undefined }, {});
    rig.replaceRelay(deaf);
    await rig.start();
    await createIn(rig.store, jobA);
    await rig.look();
    await rig.published(jobA, 1);
  });
});
