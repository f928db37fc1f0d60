import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import { type Clock, systemClock } from "../../platform/process/clock.ts";
import { createLog } from "../../platform/process/log.ts";
import { writeDueBatch } from "../../wire/due-batch.ts";
import { createCallCache } from "../calls/call-cache.ts";
import { createSettlements } from "../settling/settlements.ts";
import { createDueIntake } from "./due-intake.ts";
import type { IntakeDeps } from "./intake.ts";

const jobId = jobNamed("job");
const atRest = { ...systemClock, nowMs: () => 0 };
const entry = toBinary(DueEntrySchema, create(DueEntrySchema, { jobId, url: "http://127.0.0.1:9/" }));
const data = writeDueBatch({ second: 1, partition: 0, mayRepeat: false, epoch: 1, entries: [entry] });

/** An intake whose caller has so much to do already, and that tells what it asked of history. */
function createRig(clock: Clock = atRest) {
  const asked: string[][] = [];
  const rig = { waiting: 0, laned: 0, recordsCalls: true, asked, submitted: 0 };
  const deps = {
    clock,
    log: createLog("test", "silent"),
    calls: createCallCache(),
    caller: {
      waiting: () => rig.waiting,
      lanedWaiting: () => rig.laned,
      submit: (attempts: unknown[]) => {
        rig.submitted += attempts.length;
      },
    },
    states: { completeSinceMs: () => 0 },
    history: {
      findRecorded: async (ids: string[]) => {
        asked.push(ids);
        return new Set<string>();
      },
    },
    settlements: createSettlements({ clock, log: createLog("test", "silent") }),
    metrics: { redelivered: () => undefined },
    recordsCalls: () => rig.recordsCalls,
  };
  return Object.assign(rig, { intake: createDueIntake(deps as unknown as IntakeDeps) });
}

const delivery = (deliveryCount: number): WorkMessage =>
  ({
    data,
    seq: 7,
    redelivered: deliveryCount > 1,
    deliveryCount,
    storedAtNanos: 1e9,
    nak: () => undefined,
  }) as unknown as WorkMessage;

describe("the intake of due messages", () => {
  it("asks for none while so many calls wait that this process does not keep up", () => {
    const rig = createRig();
    expect(rig.intake.room().messages).toBeGreaterThan(0);
    rig.waiting = 400_000;
    expect(rig.intake.room().messages).toBe(0);
  });

  it("goes on, however many wait that lie in lanes: those of thousands of targets that hang", () => {
    const rig = createRig();
    rig.waiting = 500_000;
    rig.laned = 100_001;
    expect(rig.intake.room().messages).toBeGreaterThan(0);
    rig.laned--;
    expect(rig.intake.room().messages).toBe(0);
  });

  it("asks for none while the broker keeps nothing of what is told of calls: they would be made again", () => {
    const rig = createRig();
    rig.recordsCalls = false;
    expect(rig.intake.room().messages).toBe(0);
  });

  it("has less room by the bytes of what it holds", () => {
    const rig = createRig();
    const before = rig.intake.room().bytes;
    rig.intake.onMessage(delivery(1));
    expect(rig.intake.room().bytes).toBe(before - data.length);
  });

  it("asks history about a message that comes again, and about no other", () => {
    const rig = createRig();
    rig.intake.onMessage(delivery(1));
    expect(rig.asked).toEqual([]);
    const other = createRig();
    other.intake.onMessage(delivery(2));
    expect(other.asked).toEqual([[`${jobId}-1`]]);
  });

  it.each([
    ["asks history once about what it holds when it was held up, since others may have been given it", 6_000, 1],
    ["asks nobody about what it holds when its second comes in time", 1_000, 0],
  ])("%s", async (_promise, laterMs, questions) => {
    let passedMs = 0;
    let wake = () => {};
    const rig = createRig({
      ...systemClock,
      nowMs: () => passedMs,
      monotonicMs: () => passedMs,
      after(_delayMs, callback) {
        wake = callback;
        return () => undefined;
      },
    });
    rig.intake.onMessage(delivery(1));
    passedMs = laterMs;
    wake();
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.asked).toEqual(Array.from({ length: questions }, () => [`${jobId}-1`]));
    expect(rig.submitted).toBe(1);
  });
});
