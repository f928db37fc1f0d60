import { setTimeout as sleep } from "node:timers/promises";
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
    admitted.length = 0;
    busy = 0;
    await slow.stop();
    await quick.stop();
  });

  const moved: Attempt[] = [];
  /** The origins of the calls that were made, in their order. */
  const admitted: string[] = [];
  let busy = 0;

  /** Calls a URL so many times at once, and resolves with all outcomes. */
  const start = (options?: Partial<SchedulerLimits>) => {
    const ended = new Map<Attempt, (outcome: Outcome) => void>();
    const made = createHttpCaller(
      {
        clock: systemClock,
        random: systemRandom,
        admit: (attempt) => admitted.push(attempt.call.origin) > 0,
        onEnd: (attempt, { outcome }) => ended.get(attempt)?.(outcome),
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
    const call = (url: string, count: number, second?: number) => callAll([[url, count]], second);
    /** All of them together. */
    const callAll = (wanted: readonly [url: string, count: number][], second = 1) => {
      const attempts = wanted.flatMap(([url, count]) => {
        const entry = dueEntry({ jobId: jobNamed("job"), url });
        const compiled = compileCall(entry, toBinary(DueEntrySchema, entry));
        return Array.from(
          { length: count },
          (_, i) => new Attempt(compiled, executionIdOf(jobNamed("job"), i), second, 1, settlement),
        );
      });
      const outcomes = attempts.map((attempt) => new Promise<Outcome>((resolve) => ended.set(attempt, resolve)));
      made.submit(attempts);
      return Promise.all(outcomes);
    };
    return Object.assign(call, { all: callAll });
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

  it("makes the calls of one target in turn with the thousands of another one that came before them", async () => {
    const call = start();
    await call.all([
      [slow.url("/"), 1],
      [quick.url("/"), 1],
    ]);
    admitted.length = 0;
    await call.all([
      [slow.url("/"), 5_000],
      [quick.url("/"), 10],
    ]);
    expect(admitted.lastIndexOf(new URL(quick.url("/")).origin)).toBeLessThan(25);
  });

  it("moves what comes for a target that hangs when the calls of the others are out, and hands it back at a stop", async () => {
    slow.on("/", { hang: true });
    const call = start({ width: { least: 1, base: 16, most: 16 } });
    void call(slow.url("/"), 17);
    await vi.waitFor(() => expect(moved).toHaveLength(1), { timeout: 30_000 });
    // It is taken for one that hangs after five seconds.
    await sleep(3_000);
    void call.all([
      [slow.url("/"), 500],
      [quick.url("/"), 10],
    ]);
    expect(admitted.filter((origin) => origin === new URL(quick.url("/")).origin)).toHaveLength(10);
    expect([moved.length, caller?.waiting()]).toEqual([1, 500]);
    await vi.waitFor(() => expect(moved).toHaveLength(501), { timeout: 30_000 });
    expect(caller?.waiting()).toBe(0);
    void call(slow.url("/"), 20);
    expect(caller?.takeWaiting()).toHaveLength(20);
    expect(caller?.waiting()).toBe(0);
  });

  it("has few calls in flight of a target that refuses them all, and makes every one", async () => {
    const url = quick.url("/");
    const call = start({ width: { least: 1, base: 16, most: 16 } });
    await quick.stop();
    await call(url, 20);
    admitted.length = 0;
    const refused = call(url, 100);
    expect(admitted.length).toBeLessThanOrEqual(1);
    for (const outcome of await refused) expect(outcome).toMatchObject({ reason: "CONNECTION_REFUSED" });
  });

  it("calls a target whose answers have to be cut off after others, though it calls that a success", async () => {
    slow.on("/", { body: Buffer.alloc(200_000) });
    const call = start();
    await call(quick.url("/"), 1);
    for (const outcome of await call(slow.url("/"), 8)) expect(outcome).toEqual({ kind: "success", httpStatus: 200 });
    admitted.length = 0;
    await call.all([
      [slow.url("/"), 20],
      [quick.url("/"), 20],
    ]);
    const { origin } = new URL(quick.url("/"));
    expect(admitted.slice(0, 20).filter((one) => one === origin).length).toBeGreaterThanOrEqual(15);
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
