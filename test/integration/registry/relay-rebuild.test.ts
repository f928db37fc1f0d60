import { describe, expect, it } from "vitest";
import { lanes } from "../../../services/registry/store/contract.ts";
import { streams } from "../../../services/wire/streams.ts";
import { followJobs } from "../../support/registry.ts";
import { change, createIn, deleteIn, idOf, jobA, jobB } from "../../support/registry-store-rows.ts";
import { useRelay } from "../../support/relay-rig.ts";
import type { StoreMethod } from "../../support/watched-store.ts";

describe("the relay when JOBS is another stream, over a store that takes its time", { timeout: 60_000 }, () => {
  const rig = useRelay();
  const again = async (created: string) => {
    await rig.broker.jsm.streams.purge(streams.jobs);
    await rig.look(() => ({ created }));
  };

  it("publishes again what went out to a stream that was emptied before its receipt was written", async () => {
    await rig.start();
    const writing = rig.hold("before", "writeReceipts");
    await createIn(rig.store, jobA, jobB);
    await rig.published(jobB, 1);
    await writing.held;
    await rig.broker.jsm.streams.purge(streams.jobs);
    await rig.look(({ created }) => ({ created: `${created} anew` }));
    writing.release();
    const anew = await followJobs(rig.nats.url);
    await anew.until((events) => events.has(jobA) && events.has(jobB));
    await anew.stop();
    await rig.allWritten();
    expect(await rig.store.findStates([jobA, jobB])).toMatchObject([{ timingEdition: 2 }, { timingEdition: 2 }]);
  });

  it("fills the stream when another rebuild begins while a page is read, and while its jobs wait behind others", async () => {
    await rig.start();
    const ids = Array.from({ length: 700 }, (_, number) => idOf(number));
    await createIn(rig.store, ...ids);
    await rig.published(ids.at(-1) ?? "", 1);
    await rig.allWritten();
    const page = rig.hold("after", "listJobs");
    rig.watch.after = ((inner) => {
      // The look itself lists one job.
      let lists = 0;
      return (method: StoreMethod) => (method === "listJobs" && lists++ === 0 ? undefined : inner?.(method));
    })(rig.watch.after);
    await again("second");
    await page.held;
    // These are under way, and wait, when the pages come.
    const writing = rig.hold("before", "writeReceipts");
    await Promise.all(ids.slice(0, 50).map((jobId) => change(rig.store, jobId)));
    page.release();
    await writing.held;
    await Promise.all(ids.slice(0, 50).map((jobId) => change(rig.store, jobId)));
    await again("third");
    writing.release();
    const anew = await followJobs(rig.nats.url);
    await anew.until((events) => ids.every((id) => events.has(id)) && events.get(ids[0] ?? "")?.generation === 3);
    await anew.stop();
    await rig.until(async () => (await rig.store.readMark()).rebuiltUpTo === undefined);
    expect(await rig.store.readMark()).toMatchObject({ edition: 3, created: "third" });
  });

  it("fills the stream from its first job when another rebuild begins while a later page is under way", async () => {
    await rig.start();
    const ids = Array.from({ length: 400 }, (_, number) => idOf(number));
    await createIn(rig.store, ...ids);
    await rig.allWritten();
    let lists = 0;
    let writing: ReturnType<typeof rig.hold> | undefined;
    rig.watch.after = (method) => {
      // The look's own list, the first page, and the second one, which is not written down any more.
      if (method === "listJobs" && ++lists === 3) writing = rig.hold("before", "writeReceipts");
    };
    await again("second");
    await rig.until(() => writing !== undefined);
    await writing?.held;
    await again("third");
    writing?.release();
    await rig.until(async () => (await rig.store.readMark()).rebuiltUpTo === undefined);
    const anew = await followJobs(rig.nats.url);
    await anew.until((events) => ids.every((id) => events.has(id)));
    await anew.stop();
  });

  it("fills the stream from its first job when another rebuild begins while a later page is read", async () => {
    await rig.start();
    const ids = Array.from({ length: 400 }, (_, number) => idOf(number));
    await createIn(rig.store, ...ids);
    await rig.allWritten();
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    let lists = 0;
    rig.watch.after = (method) => {
      if (method !== "listJobs" || ++lists !== 3) return;
      reached.resolve();
      return released.promise;
    };
    await again("second");
    await reached.promise;
    await again("third");
    released.resolve();
    await rig.until(async () => (await rig.store.readMark()).rebuiltUpTo === undefined);
    const anew = await followJobs(rig.nats.url);
    await anew.until((events) => ids.every((id) => events.has(id)));
    await anew.stop();
  });

  it("publishes to the stream that was found while the mark was read", async () => {
    const reading = rig.hold("after", "readMark");
    await rig.relay.start();
    await reading.held;
    await rig.look();
    reading.release();
    await createIn(rig.store, jobA);
    await rig.allWritten();
    expect(await rig.store.findStates([jobA])).toMatchObject([{ timingEdition: 1 }]);
  });

  it("ends a rebuild whose jobs waited already for the page of an earlier one", async () => {
    await rig.start();
    const ids = Array.from({ length: 10 }, (_, number) => idOf(number));
    await createIn(rig.store, ...ids);
    await rig.allWritten();
    const writing = rig.hold("before", "writeReceipts");
    for (const id of ids) await change(rig.store, id);
    await writing.held;
    let lists = 0;
    rig.watch.after = (method) => {
      if (method === "listJobs") lists++;
    };
    await again("second");
    await rig.until(() => lists === 2);
    await again("third");
    await rig.until(() => lists === 4);
    writing.release();
    await rig.until(async () => (await rig.store.readMark()).rebuiltUpTo === undefined);
    expect(await rig.store.readMark()).toMatchObject({ edition: 3 });
    await rig.allWritten();
  });

  it("fills a stream that has lost its end, and none that has grown while it was asked about", async () => {
    await rig.start();
    await createIn(rig.store, jobA);
    await rig.allWritten();
    await rig.look(async () => {
      await createIn(rig.store, jobB);
      await rig.allWritten();
      return {};
    });
    expect(await rig.store.readMark()).toMatchObject({ edition: 1, sequence: 2 });
    await rig.look(() => ({ lastSequence: 1 }));
    expect(await rig.store.readMark()).toMatchObject({ edition: 2 });
  });

  it("goes on behind an entry whose job is gone", async () => {
    await rig.look();
    await createIn(rig.store, jobA);
    await deleteIn(rig.store, jobA);
    const [deletion] = await rig.store.takeOutbox([lanes.change], 1);
    if (!deletion) throw new Error("nothing was taken");
    const published = { timingGeneration: 1, deleted: true, sequence: 1, edition: 1 };
    await rig.store.writeReceipts([{ jobId: jobA, keys: [deletion.key], published }]);
    await rig.store.stop();
    await rig.store.start();
    await rig.relay.start();
    await rig.allWritten();
    await createIn(rig.store, jobB);
    await rig.published(jobB, 1);
    await rig.allWritten();
  });
});
