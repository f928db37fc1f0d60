import { CallScheduler } from "../../services/executor/calls/call-scheduler.ts";
import type { Ending, Pace } from "../../services/executor/calls/origin.ts";
import type { LaneKind } from "../../services/wire/lane.ts";

export interface Item {
  call: { jobId: string; origin: string };
  second: number;
  lane: LaneKind | undefined;
  queuedAtMs: number;
}

export const maxInFlight = 64;
export const width = { least: 2, base: 8, most: 32 };
const lookEveryMs = 250;

/** A scheduler under a clock of its own, and all that is in flight by origin. */
export function createSchedulerRig(limits: ConstructorParameters<typeof CallScheduler>[0] = {}) {
  const scheduler = new CallScheduler<Item>({ maxInFlight, width, ...limits });
  const inFlight: Item[] = [];
  const moved: { item: Item; kind: LaneKind }[] = [];
  let nowMs = 0;
  const itemOf = (origin: string, jobId: string, lane?: LaneKind): Item => ({
    call: { jobId, origin },
    second: 0,
    lane,
    queuedAtMs: 0,
  });
  const rig = {
    scheduler,
    moved,
    inFlight,
    itemOf,
    of: (origin: string) => inFlight.filter(({ call }) => call.origin === origin),
    /** Submits so many calls; those that are refused count as moved. */
    submit(origin: string, count: number, options: { job?: string; lane?: LaneKind } = {}) {
      for (let i = 0; i < count; i++) {
        const item = itemOf(origin, options.job ?? `${origin}-${i}`, options.lane);
        if (!scheduler.submit(item, nowMs)) moved.push({ item, kind: "all" });
      }
      rig.serve();
    },
    serve() {
      for (let item = scheduler.next(nowMs); item; item = scheduler.next(nowMs)) inFlight.push(item);
    },
    end(item: Item | undefined, ending: Ending = "succeeded", pace: Pace = "quick") {
      if (!item) throw new Error("nothing is in flight");
      inFlight.splice(inFlight.indexOf(item), 1);
      scheduler.ended(item, item.call.origin, { pace, ending });
      rig.serve();
    },
    /** Calls of so many jobs, slow-0 and on, each of which takes long. */
    hang(origin: string, jobs: number) {
      for (let i = 0; i < jobs; i++) {
        rig.submit(origin, 1, { job: `slow-${i}` });
        const item = rig.of(origin).at(-1);
        if (!item) throw new Error("nothing is in flight");
        scheduler.foundSlow(item);
        scheduler.foundLong(item);
      }
    },
    /** Has an origin answer one call. */
    prove(origin: string) {
      rig.submit(origin, 1);
      rig.end(rig.of(origin)[0]);
    },
    /** Time passes without a look of its own, in which it is as busy as that. */
    tick(ms: number, load = 0) {
      const before = Math.floor(nowMs / lookEveryMs);
      nowMs += ms;
      if (Math.floor(nowMs / lookEveryMs) > before)
        scheduler.look(nowMs, load, (item, kind) => moved.push({ item, kind }));
      scheduler.check(nowMs, nowMs);
      rig.serve();
    },
    /** Time passes. What is in flight stays there. */
    pass(ms: number, saturated = false) {
      for (const until = nowMs + ms; nowMs < until; nowMs += lookEveryMs) {
        scheduler.look(nowMs, saturated ? 1 : 0, (item, kind) => moved.push({ item, kind }));
        scheduler.check(nowMs, nowMs);
        rig.serve();
      }
    },
  };
  return rig;
}
