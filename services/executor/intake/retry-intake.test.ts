import { describe, expect, it } from "vitest";
import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { HttpMethod } from "../../../gen/carillon/v1/job_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import { systemClock } from "../../platform/process/clock.ts";
import { createLog } from "../../platform/process/log.ts";
import { type DueEntry, writeDueEntry } from "../../wire/due-entry.ts";
import { type RetryEntry, writeRetryBatch } from "../../wire/retry-batch.ts";
import { createCallCache } from "../calls/call-cache.ts";
import { createSettlements } from "../settling/settlements.ts";
import type { IntakeDeps } from "./intake.ts";
import { createRetryIntake } from "./retry-intake.ts";

const jobId = jobNamed("a");
const due: DueEntry = {
  jobId,
  generation: 1,
  url: "http://127.0.0.1:9/",
  method: HttpMethod.POST,
  headers: {},
  body: "{}",
  timeoutMs: 1_000,
  maxAttempts: 2,
  minBackoffMs: 1,
  maxBackoffMs: 1,
  executionId: "",
  trigger: ExecutionTrigger.SCHEDULE,
  expireAfterS: 60,
};
const entry = writeDueEntry(due);
const retry: RetryEntry = {
  entry,
  executionId: `${jobId}-7`,
  second: 7,
  attempt: 2,
  notBeforeMs: 60_000,
  redrive: undefined,
};
const manualId = `${jobId}-m7`;
const manual = { ...retry, entry: writeDueEntry({ ...due, executionId: manualId }), executionId: manualId };

const clock = { ...systemClock, nowMs: () => 59_000, monotonicMs: () => 0, after: () => () => undefined };

/** What becomes of a message with these entries. */
async function intakeOf(
  entries: RetryEntry[],
  recordsCalls = true,
): Promise<{ held: number; settled: string; room: number }> {
  const log = createLog("test", "silent");
  const deps = {
    clock,
    log,
    calls: createCallCache(),
    states: { completeSinceMs: () => 0 },
    caller: { submit: () => undefined },
    recordsCalls: () => recordsCalls,
    settlements: createSettlements({ clock, log }),
  };
  const intake = createRetryIntake(deps as unknown as IntakeDeps);
  let settled = "";
  const settle = (how: string) => () => {
    settled = how;
  };
  intake.room();
  intake.onMessage({
    data: writeRetryBatch(entries),
    seq: 1,
    stream: "RETRY",
    redelivered: false,
    storedAtNanos: 1e9,
    ack: settle("ack"),
    nak: settle("nak"),
    term: settle("term"),
  } as unknown as WorkMessage);
  // Nobody is asked anything; it takes its turn all the same.
  await new Promise(setImmediate);
  return { held: intake.held(), settled, room: intake.room().messages };
}

describe("a message of retries", () => {
  it("keeps its occurrences and manual runs until their time", async () => {
    expect(await intakeOf([retry, manual])).toMatchObject({ held: 2, settled: "" });
  });

  it("makes those behind it wait when it is large and comes late, and not when it comes on time", async () => {
    // The clock stands at 59 s, at the start of a second.
    const late = Array.from({ length: 200 }, () => ({ ...retry, notBeforeMs: 57_999 }));
    expect((await intakeOf(late)).room).toBe(0);
    expect((await intakeOf(late.slice(1))).room).toBe(16);
    const onTime = Array.from({ length: 200 }, () => ({ ...retry, notBeforeMs: 58_000 }));
    expect((await intakeOf(onTime)).room).toBe(16);
  });

  it("is not followed by others while the broker keeps nothing of what is told of calls", async () => {
    expect((await intakeOf([retry], false)).room).toBe(0);
  });

  it("does not lose the others over entries that cannot be read, or contradict themselves", async () => {
    const bad: RetryEntry[] = [
      { ...retry, entry: new Uint8Array([255, 255]) },
      { ...retry, second: -1 },
      { ...retry, attempt: 0 },
      { ...retry, second: 8 },
      { ...manual, executionId: `${jobId}-m8` },
      { ...retry, entry: writeDueEntry({ ...due, executionId: `${jobNamed("b")}-m7` }) },
    ];
    expect(await intakeOf([...bad, retry, ...bad])).toMatchObject({ held: 1, settled: "" });
    for (const one of bad) expect(await intakeOf([one])).toMatchObject({ held: 0, settled: "term" });
  });
});
