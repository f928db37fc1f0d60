import { describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { begin, type ExecutionRecord } from "../records/execution-record.ts";
import { createWatchers } from "./watchers.ts";

const recordOf = (jobId: string, second: number): ExecutionRecord =>
  begin({
    jobId,
    second,
    run: "",
    attempt: 1,
    status: ExecutionStatus.SUCCESS,
    final: true,
    sentAtMs: second * 1000,
    durationMs: 1,
    httpStatus: 200,
    reason: "",
    message: "",
    retryAtMs: 0,
    trigger: ExecutionTrigger.SCHEDULE,
  });

function setUp(config = { maxWatchers: 10, maxBuffered: 5 }) {
  const counts: number[] = [];
  const watchers = createWatchers(config, { onCount: (count) => counts.push(count) });
  const announce = (jobId: string, ...seconds: number[]) =>
    watchers.announce(seconds.map((second) => recordOf(jobId, second)));
  return { watchers, counts, announce };
}

async function read(watch: AsyncIterable<ExecutionRecord>, into: number[] = []): Promise<number[]> {
  for await (const { second } of watch) into.push(second);
  return into;
}

describe("a watch", () => {
  it("gets what ends from its call on, of its job only, in order", async () => {
    const { watchers, announce } = setUp();
    announce("a", 1);
    const watch = watchers.watch("a");
    announce("a", 2, 3);
    announce("b", 4);
    const reading = read(watch);
    announce("a", 5);
    watch.close();
    expect(await reading).toEqual([2, 3, 5]);
  });

  it("that reads too slowly ends with a reason, and harms no other", async () => {
    const { watchers, announce, counts } = setUp();
    const slow = watchers.watch("a");
    for (let second = 1; second <= 6; second++) announce("a", second);
    const fresh = watchers.watch("a");
    announce("a", 7);
    await expect(read(slow)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "WATCHER_TOO_SLOW" });
    fresh.close();
    expect(await read(fresh)).toEqual([7]);
    expect(counts).toEqual([1, 0, 1, 0]);
  });

  it("ends with UNAVAILABLE when the service stops, after what was announced before", async () => {
    const { watchers, announce } = setUp();
    const watch = watchers.watch("a");
    announce("a", 1);
    const seconds: number[] = [];
    const reading = read(watch, seconds);
    await watchers.stop();
    await expect(reading).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(seconds).toEqual([1]);
    expect(() => watchers.watch("a")).toThrow(expect.objectContaining({ code: "UNAVAILABLE" }));
  });

  it("is refused when there are too many, until one closes", () => {
    const { watchers } = setUp({ maxWatchers: 1, maxBuffered: 5 });
    const first = watchers.watch("a");
    expect(() => watchers.watch("b")).toThrow(expect.objectContaining({ reason: "TOO_MANY_WATCHERS" }));
    first.close();
    first.close();
    watchers.watch("b");
  });
});
