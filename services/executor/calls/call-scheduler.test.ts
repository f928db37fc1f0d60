import { describe, expect, it } from "vitest";
import { createSchedulerRig, type Item, maxInFlight, width } from "../../../test/support/scheduler-rig.ts";
import type { LaneKind } from "../../wire/lane.ts";

describe("the call scheduler", () => {
  it("never has more in flight than it may, whatever is asked of it", () => {
    const rig = createSchedulerRig();
    for (let i = 0; i < 40; i++) rig.prove(`p${i}`);
    for (let i = 0; i < 40; i++) rig.submit(`o${i}`, 20);
    for (let i = 0; i < 40; i++) rig.submit(`p${i}`, 20);
    rig.pass(60_000);
    expect(rig.inFlight.length).toBeLessThanOrEqual(maxInFlight);
    expect(rig.scheduler.inFlight()).toBe(rig.inFlight.length);
  });

  it("gives places to origins in turn", () => {
    const rig = createSchedulerRig({ maxInFlight: 16 });
    for (const origin of ["a", "b"]) rig.prove(origin);
    rig.submit("a", 50);
    rig.submit("b", 50);
    for (let i = 0; i < 20; i++) rig.end(rig.inFlight[0]);
    expect(Math.abs(rig.of("a").length - rig.of("b").length)).toBeLessThanOrEqual(width.least);
  });

  it("keeps room for an origin that nobody knows while others never answer, as many as half of its places", () => {
    const rig = createSchedulerRig();
    // Each cohort is found to hang, and another one comes.
    for (let cohort = 0; cohort < 4; cohort++) {
      for (let i = 0; i < maxInFlight / 8; i++) rig.submit(`hanging-${cohort}-${i}`, 30);
      rig.pass(6_000);
    }
    rig.submit("new", 1);
    rig.pass(250);
    expect(rig.of("new")).toHaveLength(1);
    rig.end(rig.of("new")[0]);
    rig.submit("new", 20);
    expect(rig.of("new").length).toBeGreaterThanOrEqual(width.least);
  });

  it("leaves origins that answer a quarter of all places, whatever hangs", () => {
    const rig = createSchedulerRig();
    for (let i = 0; i < 200; i++) rig.submit(`hanging-${i}`, 5);
    rig.pass(60_000);
    expect(rig.inFlight.length).toBeLessThanOrEqual((maxInFlight * 7) / 8);
    for (const origin of ["a", "b", "c", "d"]) rig.prove(origin);
    for (const origin of ["a", "b", "c", "d"]) rig.submit(origin, 20);
    expect(["a", "b", "c", "d"].every((origin) => rig.of(origin).length >= width.least)).toBe(true);
  });

  it("moves what waits for an origin that hangs, keeps a few calls on it, and gives it all its room once it answers", () => {
    const rig = createSchedulerRig();
    rig.prove("a");
    rig.submit("a", 30);
    expect(rig.of("a")).toHaveLength(width.base);
    rig.pass(6_000);
    expect(rig.moved).toHaveLength(30 - width.base);
    // Nothing more is taken into its queue from elsewhere.
    rig.submit("a", 5);
    expect(rig.moved).toHaveLength(35 - width.base);
    rig.end(rig.of("a")[0]);
    rig.submit("a", 5);
    expect(rig.of("a")).toHaveLength(width.base);
  });

  it("calls an origin that answers late from its lane while there is no room for records, and one that fails at once as ever", () => {
    const rig = createSchedulerRig();
    const takes = (origin: string, lane?: LaneKind) => rig.scheduler.submit(rig.itemOf(origin, "j", lane), 0, false);
    rig.prove("late");
    rig.submit("late", 3);
    expect(takes("late")).toBe(true);
    for (const item of rig.of("late").slice(0, 2)) {
      rig.scheduler.foundSlow(item);
      rig.scheduler.foundLong(item);
    }
    expect([takes("late"), takes("late", "all")]).toEqual([false, true]);
    for (let i = 0; i < 8; i++) {
      rig.submit("refused", 1);
      rig.end(rig.of("refused")[0], "refused");
    }
    expect(takes("refused")).toBe(true);
  });

  it("tries an origin that does not answer with what lies in its lane while there is no room for records of long calls", () => {
    const { scheduler } = createSchedulerRig();
    const item = (lane?: LaneKind): Item => ({ call: { jobId: "j", origin: "a" }, second: 0, lane, queuedAtMs: 0 });
    expect(scheduler.submit(item(), 0, false)).toBe(false);
    expect(scheduler.submit(item("all"), 0, false)).toBe(true);
    const first = scheduler.next(0);
    if (first) scheduler.ended(first, "a", { pace: "quick", ending: "succeeded" });
    expect(scheduler.submit(item(), 0, false)).toBe(true);
  });

  it("tries an origin that hangs again and again, though all its calls still hang", () => {
    const rig = createSchedulerRig();
    rig.submit("a", 4);
    rig.pass(6_000);
    const before = rig.of("a").length;
    rig.submit("a", 4, { lane: "all" });
    rig.pass(11_000);
    expect(rig.of("a").length).toBeGreaterThan(before);
    expect(rig.of("a").length).toBeLessThanOrEqual(before + 3);
  });

  it("takes an origin for hanging whose calls all run into their end, however short that is", () => {
    const rig = createSchedulerRig();
    rig.prove("a");
    for (let i = 0; i < 10; i++) {
      rig.submit("a", 1);
      rig.end(rig.of("a")[0], "unanswered");
      rig.pass(250);
    }
    rig.submit("a", 10);
    expect(rig.of("a").length).toBeLessThanOrEqual(width.least);
  });

  it("moves nothing that waits for an origin that answers while this process is what is slow", () => {
    const rig = createSchedulerRig();
    rig.prove("a");
    rig.submit("a", 30);
    for (let i = 0; i < 40; i++) {
      rig.pass(250, true);
      const [item] = rig.of("a");
      if (i % 2 === 0 && item) rig.end(item);
    }
    expect(rig.moved).toEqual([]);
  });

  it("moves what waits for three seconds for an origin that is too slow", () => {
    const rig = createSchedulerRig();
    rig.prove("a");
    rig.submit("a", 100);
    for (let i = 0; i < 20; i++) {
      rig.pass(250);
      rig.end(rig.of("a")[0]);
    }
    expect(rig.moved.length).toBeGreaterThan(0);
    expect(rig.moved.every(({ kind }) => kind === "all")).toBe(true);
  });

  it("lets what lies in a lane wait for as long as it takes, and takes turns between it and what is on time", () => {
    const rig = createSchedulerRig();
    rig.prove("a");
    rig.submit("a", 8);
    rig.submit("a", 20, { lane: "all" });
    rig.submit("a", 20);
    const order: (LaneKind | undefined)[] = [];
    for (let i = 0; i < 10; i++) {
      rig.end(rig.of("a")[0]);
      order.push(rig.of("a").at(-1)?.lane);
    }
    expect(order.filter((lane) => lane === "all").length).toBe(5);
    rig.pass(30_000);
    expect(rig.moved.every(({ item }) => item.lane === undefined)).toBe(true);
  });

  it("keeps half of an origin for the jobs that it answers at once, however many of others hang", () => {
    const rig = createSchedulerRig({ maxInFlight: 32 });
    for (let i = 0; i < 50; i++) rig.prove("a");
    // Known to be slow from their first calls.
    rig.hang("a", 4);
    rig.submit("a", 40, { job: "slow-0" });
    expect(rig.of("a")).toHaveLength(4);
    rig.submit("a", 4);
    expect(rig.of("a")).toHaveLength(8);
    rig.pass(4_000);
    const kinds = new Set(rig.moved.map(({ kind }) => kind));
    expect(kinds).toEqual(new Set(["slow"]));
  });

  it("gives the whole origin to slow jobs where all are slow", () => {
    const rig = createSchedulerRig();
    rig.prove("a");
    rig.hang("a", 6);
    for (let i = 0; i < 4; i++) rig.end(rig.of("a")[0], "succeeded", "long");
    rig.submit("a", 20, { job: "slow-0" });
    expect(rig.of("a").length).toBeGreaterThanOrEqual(width.base);
  });

  it("tells how many wait that lie in lanes, those that it holds because their job is slow among them", () => {
    const rig = createSchedulerRig();
    rig.submit("hanging", 8, { lane: "all" });
    rig.submit("hanging", 3);
    rig.pass(6_000);
    for (let i = 0; i < 50; i++) rig.prove("a");
    rig.hang("a", 4);
    rig.submit("a", 7, { job: "slow-0", lane: "slow" });
    const waiting = rig.scheduler.lanedWaiting();
    expect(waiting).toBe(rig.scheduler.takeLaned(({ lane }) => lane !== undefined).length);
    expect(waiting).toBeGreaterThan(7);
    expect(rig.scheduler.lanedWaiting()).toBe(0);
  });

  it("wants of a lane what its origin can take, and one to try a lane of an origin that nobody knows", () => {
    const rig = createSchedulerRig();
    expect(rig.scheduler.wantedOfLane("a", "all")).toBe(1);
    rig.prove("a");
    expect(rig.scheduler.wantedOfLane("a", "all")).toBe(width.base * 2);
    rig.submit("a", 8 + 5, { lane: "all" });
    expect(rig.scheduler.wantedOfLane("a", "all")).toBe(width.base * 2 - 5);
    rig.pass(6_000);
    expect(rig.scheduler.wantedOfLane("a", "all")).toBe(0);
    // Of a lane of slow jobs as well: one to try, and no more.
    expect(rig.scheduler.wantedOfLane("a", "slow")).toBe(1);
    rig.submit("a", 5, { lane: "slow" });
    expect(rig.scheduler.wantedOfLane("a", "slow")).toBe(0);
  });

  it("lets held calls of slow jobs have their turn beside a queue that never empties", () => {
    const rig = createSchedulerRig();
    for (let i = 0; i < 50; i++) rig.prove("a");
    rig.hang("a", 4);
    rig.submit("a", 1, { job: "slow-0", lane: "slow" });
    rig.submit("a", 100);
    const quick = () => rig.of("a").find(({ call }) => !call.jobId.startsWith("slow"));
    for (let i = 0; i < 20; i++) rig.end(quick());
    expect(rig.of("a").filter(({ lane }) => lane === "slow")).toEqual([]);
    // A place of slow jobs comes free.
    const hung = rig.of("a").find(({ call }) => call.jobId === "slow-1");
    rig.end(hung, "succeeded", "long");
    for (let i = 0; i < 4; i++) rig.end(quick());
    expect(rig.of("a").filter(({ lane }) => lane === "slow")).toHaveLength(1);
  });

  it("reviews what lies in a lane and what is held because its job is slow, also of an origin that answers", () => {
    const rig = createSchedulerRig();
    for (let i = 0; i < 50; i++) rig.prove("a");
    rig.hang("a", 4);
    rig.submit("a", 20, { job: "slow-0", lane: "slow" });
    rig.submit("a", 20, { lane: "all" });
    const waiting = rig.scheduler.waiting();
    const reviewed = rig.scheduler.takeLaned(() => true);
    expect(reviewed.length).toBe(waiting);
    expect(new Set(reviewed.map(({ lane }) => lane))).toEqual(new Set(["slow", "all"]));
    expect(rig.scheduler.waiting()).toBe(0);
    expect(rig.scheduler.wantedOfLane("a", "slow")).toBe(rig.scheduler.wantedOfLane("a", "all"));
  });

  it("moves what has waited for three seconds because its job is slow, though it was reviewed again and again", () => {
    const rig = createSchedulerRig({ width: { ...width, most: width.base } });
    for (let i = 0; i < 50; i++) rig.prove("a");
    rig.pass(250);
    rig.hang("a", 4);
    rig.submit("a", 5, { job: "slow-0" });
    let nowMs = 250;
    for (let i = 0; i < 2; i++) {
      rig.pass(2_000);
      nowMs += 2_000;
      for (const item of rig.scheduler.takeLaned(() => true)) rig.scheduler.submit(item, nowMs);
    }
    expect(rig.moved.map(({ kind }) => kind)).toEqual(Array.from({ length: 5 }, () => "slow"));
  });

  it("tries those that hang, and has something for one that nobody knows, also when all places were taken by origins that answered", () => {
    const rig = createSchedulerRig({ maxInFlight: 128 });
    for (let i = 0; i < 20; i++) rig.prove(`a${i}`);
    for (let i = 0; i < 20; i++) rig.submit(`a${i}`, 8);
    rig.pass(6_000);
    const before = rig.inFlight.length;
    expect(before).toBeGreaterThanOrEqual(112);
    for (let i = 0; i < 20; i++) rig.submit(`a${i}`, 1, { lane: "all" });
    rig.submit("new", 1);
    rig.pass(31_000);
    expect(rig.of("new")).toHaveLength(1);
    expect(rig.inFlight.length).toBeGreaterThan(before + 1);
    expect(rig.inFlight.length).toBeLessThanOrEqual(128);
  });

  it("forgets origins that have nothing to do, and tells of each, also of those that were too many", () => {
    const rig = createSchedulerRig({ maxOrigins: 2 });
    for (const origin of ["a", "b", "c"]) rig.prove(origin);
    rig.submit("busy", 1);
    expect(rig.scheduler.sweep(120_000).toSorted()).toEqual(["a", "b", "c"]);
  });
});
