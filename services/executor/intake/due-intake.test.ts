import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import { systemClock } from "../../platform/process/clock.ts";
import { createLog } from "../../platform/process/log.ts";
import { writeDueBatch } from "../../wire/due-batch.ts";
import { createCallCache } from "../calls/call-cache.ts";
import { createSettlements } from "../settling/settlements.ts";
import { createDueIntake } from "./due-intake.ts";
import type { IntakeDeps } from "./intake.ts";

const jobId = jobNamed("job");
const clock = { ...systemClock, nowMs: () => 0 };
const entry = toBinary(DueEntrySchema, create(DueEntrySchema, { jobId, url: "http://127.0.0.1:9/" }));
const data = writeDueBatch({ second: 1, partition: 0, mayRepeat: false, epoch: 1, entries: [entry] });

/** An intake whose caller has so much to do already, and that tells what it asked of history. */
function createRig() {
  const asked: string[][] = [];
  const rig = { waiting: 0, asked };
  const deps = {
    clock,
    log: createLog("test", "silent"),
    calls: createCallCache(),
    caller: { waiting: () => rig.waiting },
    states: { completeSinceMs: () => 0 },
    history: {
      findRecorded: async (ids: string[]) => {
        asked.push(ids);
        return new Set<string>();
      },
    },
    settlements: createSettlements({ clock, log: createLog("test", "silent") }),
    metrics: { redelivered: () => undefined },
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

describe("a due message that an overloaded executor gave back", () => {
  it("is taken as new when it comes again, and nobody else had it", () => {
    const busy = createRig();
    busy.waiting = 1_000_000;
    busy.intake.onMessage(delivery(1));
    busy.intake.onMessage(delivery(2));
    expect(busy.intake.held()).toBe(0);
    busy.waiting = 0;
    busy.intake.onMessage(delivery(3));
    expect(busy.intake.held()).toBe(1);
    expect(busy.asked).toEqual([]);
  });

  it("is asked about when another had it meanwhile, or when it was a repeat before", () => {
    for (const deliveries of [
      [1, 3],
      [2, 3],
    ]) {
      const rig = createRig();
      rig.waiting = 1_000_000;
      rig.intake.onMessage(delivery(deliveries[0] ?? 0));
      rig.waiting = 0;
      rig.intake.onMessage(delivery(deliveries[1] ?? 0));
      expect(rig.asked, String(deliveries)).toEqual([[`${jobId}-1`]]);
    }
  });
});
