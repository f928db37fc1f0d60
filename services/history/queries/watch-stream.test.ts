import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { job, noon, otherJob, resultOf } from "../../../test/support/history-results.ts";
import { systemClock } from "../../platform/process/clock.ts";
import type { HistoryStore } from "../store/contract.ts";
import { createSqliteHistoryStore } from "../store/sqlite/sqlite-history-store.ts";
import { encodeResumeToken } from "./resume-token.ts";
import { openWatchStream } from "./watch-stream.ts";
import { createWatchers, type Told, type Watchers } from "./watchers.ts";

let folder: string;
let store: HistoryStore;
let watchers: Watchers;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "carillon-watch-"));
  store = createSqliteHistoryStore({ folder });
  await store.start();
  watchers = createWatchers({ maxWatchers: 2, maxBuffered: 3 }, { clock: systemClock });
});
afterEach(async () => {
  await watchers.stop();
  await store.stop();
  await rm(folder, { recursive: true });
});

/** As the recorder does it. */
const record = async (...offsets: number[]) => {
  const { ended, place } = await store.record(offsets.map((i) => resultOf({ second: noon + i })));
  if (place) watchers.announce(ended, place);
};
const open = (resumeToken: string, bookmarks = false, over: Partial<HistoryStore> = {}) =>
  openWatchStream({ jobId: job, resumeToken, bookmarks }, { store: { ...store, ...over }, watchers });
const tokenNow = async () => encodeResumeToken(job, await store.lastEnding());
const offsetOf = ({ record }: Told) => (record ? record.second - noon : "bookmark");

describe("a watch that goes on from a token", () => {
  it("has what ended meanwhile, at the very moment that it begins to listen, and from then on: once each", async () => {
    const token = await tokenNow();
    await record(0, 1);
    let looks = 0;
    const stream = await open(token, false, {
      async endedSince(...question) {
        looks++;
        // By now it listens: this is told as well as found.
        if (looks === 3) await record(3);
        const answer = await store.endedSince(...question);
        // The first look is the one before the stream opens; with the second one nothing more is known to have ended.
        if (looks === 2) await record(2);
        if (looks === 3) await record(4);
        return answer;
      },
    });
    const seen: unknown[] = [];
    for await (const told of stream.told()) {
      seen.push(offsetOf(told));
      if (seen.length === 5) await record(5);
      if (seen.length === 6) stream.close();
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
    expect(looks).toBe(3);
  });

  it("holds what is far more than a watcher's buffer, however slowly it is read and however much comes", async () => {
    const token = await tokenNow();
    for (let i = 0; i < 1_000; i++) await record(i);
    const stream = await open(token);
    let next = 0;
    for await (const told of stream.told()) {
      expect(offsetOf(told)).toBe(next);
      if (next < 500) await record(1_000 + next);
      if (++next === 1_500) stream.close();
    }
    expect(next).toBe(1_500);
  });

  it("goes on from the token of whatever was told, live or from the store", async () => {
    const first = await open(await tokenNow());
    await record(0, 1);
    const seen: unknown[] = [];
    for await (const { place } of first.told()) {
      const second = await open(encodeResumeToken(job, place));
      for await (const told of second.told()) {
        seen.push(offsetOf(told));
        second.close();
      }
      first.close();
      break;
    }
    expect(seen).toEqual([1]);
  });

  it.each(["", "nonsense", "token of another job"])("is refused with %j", async (text) => {
    const other = encodeResumeToken(otherJob, await store.lastEnding());
    const token = text === "token of another job" ? other : text;
    if (token === "") return expect((await open(token)).close()).toBeUndefined();
    await expect(open(token)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", reason: "RESUME_TOKEN_INVALID" });
  });

  it("is refused when what ended since is not all known, and leaves its place to others", async () => {
    await record(0);
    const place = await store.lastEnding();
    const wrong = encodeResumeToken(job, { ...place, mark: place.mark + 1 });
    // There is room for two.
    for (let i = 0; i < 3; i++) {
      await expect(open(wrong)).rejects.toMatchObject({ code: "OUT_OF_RANGE", reason: "RESUME_TOKEN_TOO_OLD" });
    }
    const before = encodeResumeToken(job, { commit: 0, mark: 0, count: 0 });
    await store.noteJobs([{ jobId: job, deleted: true, second: noon }], { stream: "jobs", sequence: 1 });
    await record(10);
    for (let done = false; !done; ) ({ done } = await store.forget(noon + 5));
    await expect(open(before)).rejects.toMatchObject({ reason: "RESUME_TOKEN_TOO_OLD" });
    (await open("")).close();
  });

  it("ends with the service, also while it catches up", async () => {
    const token = await tokenNow();
    await record(0, 1, 2);
    const stream = await open(token);
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const told of stream.told()) {
        seen.push(offsetOf(told));
        await watchers.stop();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(seen).toEqual([0, 1, 2]);
  });
});

describe("a watch with bookmarks", () => {
  it("begins with one, from which nothing that ended since the call is missing", async () => {
    const stream = await open("", true);
    await record(0);
    const told = stream.told();
    const first = (await told.next()).value as Told;
    const bookmark = (await told.next()).value as Told;
    expect([first, bookmark].map(offsetOf)).toEqual([0, "bookmark"]);
    await record(1);
    const again = await open(encodeResumeToken(job, bookmark.place));
    const resumed = await again.told().next();
    expect(offsetOf(resumed.value as Told)).toBe(1);
    expect(offsetOf((await told.next()).value as Told)).toBe(1);
    again.close();
    stream.close();
  });

  it("has one behind what was caught up with", async () => {
    const token = await tokenNow();
    await record(0, 1);
    const stream = await open(token, true);
    const seen: unknown[] = [];
    for await (const told of stream.told()) if (seen.push(offsetOf(told)) === 3) stream.close();
    expect(seen).toEqual([0, 1, "bookmark"]);
  });

  it("says nothing of places to those who did not ask", async () => {
    const stream = await open("");
    await record(0);
    const told = stream.told();
    expect(offsetOf((await told.next()).value as Told)).toBe(0);
    stream.close();
    expect((await told.next()).done).toBe(true);
  });
});
