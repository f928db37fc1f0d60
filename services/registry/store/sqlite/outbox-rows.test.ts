import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { allLanes, lanes } from "../contract.ts";
import { migrations } from "./migrations.ts";
import { createOutboxRows } from "./outbox-rows.ts";

/** An outbox whose reads of one lane fail when the test says so. */
function openOutbox() {
  const db = new Database(":memory:");
  for (const step of migrations) if (typeof step === "string") db.exec(step);
  let failingLane: number | undefined;
  const prepare = (source: string) => {
    const statement = db.prepare(source);
    if (!source.includes("limit")) return statement;
    return {
      all(lane: number, ...rest: number[]) {
        if (lane === failingLane) throw new Error("the disk cannot be read");
        return statement.all(lane, ...rest);
      },
    };
  };
  const outbox = createOutboxRows({ prepare } as unknown as Database.Database);
  return { db, outbox, failFor: (lane: number | undefined) => (failingLane = lane) };
}

describe("the outbox", () => {
  it("has handed out nothing when it fails to read, in whichever lane", () => {
    const { outbox, failFor } = openOutbox();
    outbox.addJob(lanes.change, "a");
    outbox.addJob(lanes.create, "b");
    outbox.addJob(lanes.batchCreate, "c");
    failFor(lanes.batchCreate);
    expect(() => outbox.take(allLanes, 10)).toThrow("cannot be read");
    failFor(undefined);
    expect(outbox.take(allLanes, 10).map(({ jobId }) => jobId)).toEqual(["a", "b", "c"]);
  });

  it("hands out what comes after entries that were removed or never written", () => {
    const { db, outbox } = openOutbox();
    outbox.addJob(lanes.change, "a");
    for (const { key } of outbox.take(allLanes, 10)) outbox.remove(key);
    const failing = db.transaction(() => {
      outbox.addJob(lanes.change, "b");
      throw new Error("the disk is full");
    });
    expect(failing).toThrow("full");
    expect(outbox.take(allLanes, 10)).toEqual([]);
    outbox.addJob(lanes.change, "c");
    expect(outbox.take(allLanes, 10).map(({ jobId }) => jobId)).toEqual(["c"]);
    expect(outbox.count()).toBe(1);
  });

  it("weighs what it holds, a run by its message, and not what a transaction that was undone had made of it", () => {
    const { outbox, db } = openOutbox();
    const run = (bytes: number) => ({ executionId: "e", payload: new Uint8Array(bytes) });
    outbox.addJob(lanes.create, "a");
    outbox.addRun(lanes.change, "a", run(257));
    expect(outbox.weight()).toBe(4);
    outbox.ended("committed");
    db.exec("begin");
    outbox.remove({ lane: lanes.change, id: 1 });
    outbox.remove({ lane: lanes.create, id: 1 });
    outbox.remove({ lane: lanes.create, id: 1 });
    outbox.addRun(lanes.change, "a", run(1));
    expect(outbox.weight()).toBe(2);
    db.exec("rollback");
    outbox.ended("undone");
    expect(outbox.weight()).toBe(4);
    outbox.remove({ lane: lanes.change, id: 1 });
    expect(outbox.weight()).toBe(1);
    outbox.ended("committed");
    outbox.ended("undone");
    expect(outbox.weight()).toBe(1);
    outbox.addRun(lanes.change, "b", run(512));
    expect(createOutboxRows(db).weight()).toBe(outbox.weight());
  });
});
