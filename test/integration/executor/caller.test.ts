import { toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DueEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import type { Outcome } from "../../../services/domain/delivery/outcome.ts";
import { executionIdOf } from "../../../services/domain/identity/execution-id.ts";
import { Attempt } from "../../../services/executor/calls/attempt.ts";
import { compileCall } from "../../../services/executor/calls/call.ts";
import type { SchedulerLimits } from "../../../services/executor/calls/call-scheduler.ts";
import { createHttpCaller, type HttpCaller } from "../../../services/executor/calls/http-caller.ts";
import type { Settlement } from "../../../services/executor/settling/settlements.ts";
import { systemClock, systemRandom } from "../../../services/platform/process/clock.ts";
import { dueEntry } from "../../support/executor-rig.ts";
import { jobNamed } from "../../support/job-ids.ts";
import { systemLookup } from "../../support/system-lookup.ts";
import { startTarget, type Target } from "../../support/target.ts";

const settlement: Settlement = { done: () => undefined, refused: () => undefined, giveBack: () => undefined };

describe("the caller", () => {
  let slow: Target;
  let quick: Target;
  let caller: HttpCaller | undefined;

  beforeEach(async () => {
    slow = await startTarget();
    quick = await startTarget();
  });
  afterEach(async () => {
    caller?.close();
    moved.length = 0;
    busy = 0;
    await slow.stop();
    await quick.stop();
  });

  const moved: Attempt[] = [];
  let busy = 0;

  /** Calls a URL so many times at once, and resolves with all outcomes. */
  const start = (options?: Partial<SchedulerLimits>) => {
    const ended = new Map<Attempt, (outcome: Outcome) => void>();
    const made = createHttpCaller(
      {
        clock: systemClock,
        random: systemRandom,
        admit: () => true,
        onEnd: (attempt, outcome) => ended.get(attempt)?.(outcome),
        move: (attempt) => moved.push(attempt),
        outlive: () => undefined,
        isDoubtful: () => false,
        isStale: () => false,
        takesRecords: () => true,
        review: () => undefined,
        load: { utilisation: () => busy },
        lookup: systemLookup(),
      },
      options,
    );
    caller = made;
    return (url: string, count: number, second = 1) => {
      const entry = dueEntry({ jobId: jobNamed("job"), url });
      const call = compileCall(entry, toBinary(DueEntrySchema, entry));
      return Promise.all(
        Array.from({ length: count }, (_, i) => {
          const attempt = new Attempt(made, call, executionIdOf(jobNamed("job"), i), second, 1, settlement);
          const outcome = new Promise<Outcome>((resolve) => ended.set(attempt, resolve));
          made.submit(attempt);
          return outcome;
        }),
      );
    };
  };

  it("gives a slow target that answers as many connections as it has calls", async () => {
    const calls = 500;
    const call = start();
    await call(slow.url("/first"), 1);
    const all = slow.until(() => slow.arrivals("/").length === calls);
    slow.on("/", { after: all });
    // Answered only once every one of them is there: with fewer connections none would be.
    const outcomes = await call(slow.url("/"), calls);
    expect(outcomes.every(({ kind }) => kind === "success")).toBe(true);
  });

  it("keeps half of its places for others, however slow a target is", async () => {
    const answers = Promise.withResolvers<void>();
    slow.on("/", { after: answers.promise });
    const call = start({ maxInFlight: 16, width: { least: 1, base: 2, most: 64 } });
    await call(slow.url("/first"), 1);
    const held = call(slow.url("/"), 40);
    await slow.until(() => slow.arrivals("/").length === 8);
    await call(quick.url("/"), 200);
    expect(slow.arrivals("/")).toHaveLength(8);
    answers.resolve();
    expect(await held).toHaveLength(40);
  });

  it("leaves places for a target that nobody knows while another one hangs", async () => {
    slow.on("/", { hang: true });
    const call = start({ maxInFlight: 64, width: { least: 1, base: 8, most: 8 } });
    void call(slow.url("/"), 40);
    await slow.until(() => slow.arrivals().length === 4);
    expect(await call(quick.url("/"), 100)).toHaveLength(100);
    expect(slow.arrivals()).toHaveLength(4);
  });

  it("moves what waits too long for a target that hangs, and nothing that waits for one that answers", async () => {
    slow.on("/", { hang: true });
    const call = start({ width: { least: 1, base: 4, most: 8 } });
    void call(slow.url("/"), 30);
    await vi.waitFor(() => expect(moved).toHaveLength(26), { timeout: 30_000 });
    expect(slow.arrivals()).toHaveLength(4);
    expect(await call(quick.url("/"), 500)).toHaveLength(500);
    expect(moved).toHaveLength(26);
  });

  it("opens no more connections to a target when it is itself what is slow", async () => {
    busy = 1;
    const answers = Promise.withResolvers<void>();
    slow.on("/", { after: answers.promise });
    const call = start({ width: { least: 1, base: 4, most: 64 } });
    await call(slow.url("/first"), 1);
    const held = call(slow.url("/"), 20);
    await slow.until(() => slow.arrivals("/").length === 4);
    // Long enough for it to have widened, had it wanted to.
    await call(quick.url("/"), 3_000);
    expect(slow.arrivals("/")).toHaveLength(4);
    answers.resolve();
    expect(await held).toHaveLength(20);
  });

  it("needs no more connections than its base for calls that are on time", async () => {
    const future = Math.ceil(Date.now() / 1000) + 60;
    await start()(quick.url("/"), 3_000, future);
    expect(quick.connections()).toBeLessThanOrEqual(64);
  });
});
