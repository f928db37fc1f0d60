import { describe, expect, it } from "vitest";
import { streams } from "../../../services/wire/streams.ts";
import { followJobs } from "../../support/registry.ts";
import { change, createIn, idOf, jobA, jobB } from "../../support/registry-store-rows.ts";
import { useRelay } from "../../support/relay-rig.ts";
import type { StoreMethod } from "../../support/watched-store.ts";

describe("the relay when JOBS is another stream, over a store that takes its time", { timeout: 60_000 }, () => {
  const rig = useRelay();

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
    const again = async (created: string) => {
      await rig.broker.jsm.streams.purge(streams.jobs);
      await rig.look(() => ({ created }));
    };
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
});
