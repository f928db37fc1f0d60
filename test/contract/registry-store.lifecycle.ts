import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { allLanes, type RegistryStore } from "../../services/registry/store/contract.ts";
import { type RegistryEngine, registryStoreWriter, useStore } from "../support/registry-engine.ts";
import { change, createIn, idOf, idsOf, jobA, jobB, listAll, runOf } from "../support/registry-store-rows.ts";

/** When a store may be used, and by whom. */
export function lifecycleSuite(engine: RegistryEngine): void {
  const rig = useStore(engine);

  describe("starting and stopping", () => {
    const callsOf = (one: RegistryStore): Promise<unknown>[] => [
      createIn(one, jobA),
      one.findAnswers(["x"], 0),
      one.expireRequests(0, 1),
      change(one, jobA),
      one.addRun(jobA, runOf(jobA, "1")),
      one.findJob(jobA),
      one.findStates([jobA]),
      one.listJobs({ afterId: "", limit: 1, maxBytes: 1 }),
      one.counts(),
      one.takeOutbox(allLanes, 1),
      one.writeReceipts([]),
      one.readMark(),
      one.beginRebuild({ created: "x", sequence: 0 }),
    ];
    const statuses = async (calls: Promise<unknown>[]) =>
      new Set((await Promise.allSettled(calls)).map(({ status }) => status));

    it("refuses each call before the start and after the stop", async () => {
      const unstarted = engine.create(rig.place);
      expect(await statuses(callsOf(unstarted))).toEqual(new Set(["rejected"]));
      await rig.store.stop();
      expect(await statuses(callsOf(rig.store))).toEqual(new Set(["rejected"]));
      await rig.reopen();
      expect(await rig.store.counts()).toEqual({ active: 0, paused: 0, outbox: 0 });
    });

    it("finishes what was handed in before it stops, and both may be asked for twice", async () => {
      const ids = Array.from({ length: 5_000 }, (_, number) => idOf(number));
      const created = Promise.all(ids.map((jobId) => createIn(rig.store, jobId)));
      const stopped = Promise.all([rig.store.stop(), rig.store.stop()]);
      const late = statuses(callsOf(rig.store));
      await stopped;
      await created;
      expect(await late).toEqual(new Set(["rejected"]));
      await rig.reopen();
      await Promise.all([rig.store.start(), rig.store.start()]);
      expect((await rig.store.counts()).active).toBe(ids.length);
    });

    it("is opened by one only, until that one stops", async () => {
      await createIn(rig.store, jobA);
      const second = engine.create(rig.place);
      await expect(second.start()).rejects.toThrow(/another/);
      await second.stop();
      expect(await statuses(callsOf(second))).toEqual(new Set(["rejected"]));
      await createIn(rig.store, jobB);
      await rig.store.stop();
      const third = engine.create(rig.place);
      await third.start();
      await expect(rig.store.start()).rejects.toThrow(/another/);
      expect(idsOf(await listAll(third))).toEqual([jobA, jobB]);
      await third.stop();
      await rig.store.start();
    });

    it("is opened by one process only, until that one dies", async () => {
      await rig.store.stop();
      const holder = await holdOpen(engine, rig.place);
      await expect(rig.store.start()).rejects.toThrow(/another/);
      await holder.kill();
      await rig.store.start();
      expect(await rig.store.counts()).toMatchObject({ active: 0 });
    });
  });
}

/** Another process that has the store open. */
async function holdOpen(engine: RegistryEngine, place: string): Promise<{ kill(): Promise<void> }> {
  const child = spawn(process.execPath, [registryStoreWriter, engine.module, place, "hold"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return {
    async kill() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}
