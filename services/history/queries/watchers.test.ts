import { describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { type Clock, systemClock } from "../../platform/process/clock.ts";
import { begin, type ExecutionRecord } from "../records/execution-record.ts";
import { createWatchers, type Told, type Watch } from "./watchers.ts";

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
  let nextBookmarks = () => {};
  const clock: Clock = {
    ...systemClock,
    after(_, callback) {
      nextBookmarks = callback;
      return () => undefined;
    },
  };
  const watchers = createWatchers(config, { clock, onCount: (count) => counts.push(count) });
  let commit = 0;
  const announce = (jobId: string, ...seconds: number[]) => {
    const place = { commit: ++commit, mark: 0, count: seconds.length };
    watchers.announce(
      seconds.map((second) => recordOf(jobId, second)),
      place,
    );
  };
  const open = (jobId: string, options?: { bookmarks: boolean }) => {
    const watch = watchers.watch(jobId, options);
    watch.listen();
    return watch;
  };
  return { watchers, open, counts, announce, sendBookmarks: () => nextBookmarks() };
}

async function read(watch: AsyncIterable<Told>, into: number[] = []): Promise<number[]> {
  for await (const { record } of watch) if (record) into.push(record.second);
  return into;
}

describe("a watch", () => {
  it("gets what ends from its call on, of its job only, in order", async () => {
    const { open, announce } = setUp();
    announce("a", 1);
    const watch = open("a");
    announce("a", 2, 3);
    announce("b", 4);
    const reading = read(watch);
    announce("a", 5);
    watch.close();
    expect(await reading).toEqual([2, 3, 5]);
  });

  it("that reads too slowly ends with a reason, and harms no other", async () => {
    const { open, announce, counts } = setUp();
    const slow = open("a");
    for (let second = 1; second <= 6; second++) announce("a", second);
    const fresh = open("a");
    announce("a", 7);
    await expect(read(slow)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "WATCHER_TOO_SLOW" });
    fresh.close();
    expect(await read(fresh)).toEqual([7]);
    expect(counts).toEqual([1, 0, 1, 0]);
  });

  it("ends with UNAVAILABLE when the service stops, after what was announced before", async () => {
    const { watchers, open, announce } = setUp();
    const watch = open("a");
    announce("a", 1);
    const seconds: number[] = [];
    const reading = read(watch, seconds);
    await watchers.stop();
    await expect(reading).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(seconds).toEqual([1]);
    expect(() => watchers.watch("a")).toThrow(expect.objectContaining({ code: "UNAVAILABLE" }));
  });

  it("has its place before it listens, and drops what is announced until then", async () => {
    const { watchers, announce, counts } = setUp();
    const watch = watchers.watch("a");
    expect(counts).toEqual([1]);
    announce("a", 1, 2, 3, 4, 5, 6, 7);
    watch.listen();
    announce("a", 8);
    expect(watch.isOver()).toBe(false);
    watch.close();
    expect(watch.isOver()).toBe(true);
    expect(await read(watch)).toEqual([8]);
  });

  it("tells the place behind each execution, and bookmarks to those who want them once anything ended", async () => {
    const { watchers, open, announce, sendBookmarks } = setUp();
    await watchers.start();
    const watch = open("a", { bookmarks: true });
    const plain = open("a");
    sendBookmarks();
    announce("a", 1, 2);
    announce("b", 3);
    sendBookmarks();
    sendBookmarks();
    announce("a", 4);
    const tell = async (watch: Watch) => {
      watch.close();
      const told: unknown[] = [];
      for await (const { record, place } of watch) told.push([record?.second, place.commit, place.count]);
      return told;
    };
    const [first, second, bookmark, fourth] = [
      [1, 1, 1],
      [2, 1, 2],
      [undefined, 2, 1],
      [4, 3, 1],
    ];
    expect(await tell(watch)).toEqual([first, second, bookmark, fourth]);
    expect(await tell(plain)).toEqual([first, second, fourth]);
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
