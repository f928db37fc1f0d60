import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHistoryMetrics } from "../../../services/history/history-metrics.ts";
import { createRetention, type Retention } from "../../../services/history/retention/retention.ts";
import type { HistoryStore } from "../../../services/history/store/contract.ts";
import { createSqliteHistoryStore } from "../../../services/history/store/sqlite/sqlite-history-store.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { job, noon, otherJob, resultOf } from "../../support/history-results.ts";
import { jobNamed } from "../../support/job-ids.ts";

const day = 86_400;

describe("retention", () => {
  let folder: string;
  let store: HistoryStore;
  let retention: Retention;
  let nowSeconds: number;
  let metrics: ReturnType<typeof createMetrics>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "carillon-history-"));
    store = createSqliteHistoryStore({ folder, segmentRows: 500, logBytes: 1_000_000 });
    await store.start();
    nowSeconds = noon;
  });
  afterEach(async () => {
    await retention.stop();
    await store.stop();
    await rm(folder, { recursive: true });
  });

  const create = (retentionSeconds: number, maxBytes?: number) => {
    metrics = createMetrics("history");
    // Its rounds follow each other at once; the wall clock is the test's.
    const clock = {
      ...systemClock,
      nowMs: () => nowSeconds * 1000,
      after: (_: number, callback: () => void) => systemClock.after(1, callback),
    };
    retention = createRetention(
      { retentionSeconds, maxBytes },
      { store, clock, log: createLog("test", "silent"), metrics: createHistoryMetrics(metrics) },
    );
  };
  const fill = async (from: number, to: number, message = "") => {
    for (let second = from; second < to; second += 200) {
      const seconds = Array.from({ length: Math.min(200, to - second) }, (_, i) => noon + second + i);
      await store.record(seconds.map((at) => resultOf({ second: at, message })));
    }
  };
  const shown = async (name: string) =>
    Number(new RegExp(`^${name}\\{.*\\} (\\S+)$`, "m").exec(await metrics.metrics())?.[1]);
  const oldest = async () => ((await store.extent()).oldestSecond ?? 0) - noon;

  it("forgets what is older than it says by the clock, as time goes on, and shows what there is", async () => {
    await store.record([resultOf({ jobId: otherJob, second: noon - 300 * day })]);
    await fill(0, 6_000);
    create(30 * day);
    await retention.start();
    await vi.waitFor(async () => expect(await shown("carillon_history_executions")).toBe(6_001));
    nowSeconds = noon + 30 * day + 4_000;
    await vi.waitFor(async () => expect(await shown("carillon_executions_forgotten_total")).toBeGreaterThan(0));
    const { rowCount } = await store.extent();
    // In steps of an hour.
    const before = Math.floor((noon + 4_000) / 3_600) * 3_600;
    expect(rowCount).toBe(1 + noon + 6_000 - before);
    expect(await shown("carillon_executions_forgotten_total")).toBe(6_001 - rowCount);
    expect(await shown("carillon_history_oldest_seconds")).toBe(noon - 300 * day);
    expect(await shown("carillon_history_bytes")).toBeGreaterThan(await shown("carillon_history_used_bytes"));
    expect(await store.list(otherJob, 5)).toHaveLength(1);
    const next = await store.list(job, 1, { second: before, run: "" });
    expect(next).toEqual([]);
  });

  it("makes room before a commit, the oldest first, and spares the last two minutes", async () => {
    create(3_650 * day, 16_000_000);
    const message = "x".repeat(1_000);
    await fill(0, 2_000, message);
    nowSeconds = noon + 10_000;
    await retention.makeRoom();
    expect(await oldest()).toBe(0);
    await fill(2_000, 4_000, message);
    await retention.makeRoom();
    const { usedBytes, rowCount } = await store.extent();
    expect(usedBytes).toBeLessThanOrEqual(12_000_000);
    expect(rowCount).toBeGreaterThan(1_000);
    expect(await oldest()).toBe(4_000 - rowCount);
    // Now all that is there is too young.
    await fill(4_000, 8_000, message);
    nowSeconds = noon + 4_000;
    await retention.makeRoom();
    expect(await oldest()).toBe(4_000 - 120);
    expect((await store.extent()).usedBytes).toBeGreaterThan(12_000_000);
  });

  it("keeps its limit where each job runs once and is deleted, and cannot where it is not", async () => {
    create(3_650 * day, 16_000_000);
    const message = "x".repeat(1_000);
    let made = 0;
    let most = 0;
    const runMany = async (deleted: boolean) => {
      for (let call = 0; call < 100; call++) {
        const jobs = Array.from({ length: 200 }, () => jobNamed((made++).toString(36)));
        const second = noon + made;
        nowSeconds = second + 1_000;
        await retention.makeRoom();
        await store.record(jobs.map((jobId) => resultOf({ jobId, second, message })));
        if (deleted) {
          const states = jobs.map((jobId) => ({ jobId, deleted, second }));
          await store.noteJobs(states, { stream: "jobs", sequence: made });
        }
        most = Math.max(most, (await store.extent()).usedBytes);
      }
    };
    await runMany(true);
    expect(most).toBeLessThan(14_000_000);
    // A step of the sweep takes 2,000 of the 2,900 that fit in.
    expect((await store.extent()).rowCount).toBeGreaterThan(500);
    await runMany(false);
    expect(most).toBeGreaterThan(16_000_000);
    expect((await store.extent()).rowCount).toBe(20_000);
  });

  it("forgets nothing for its size where no size was given", async () => {
    create(3_650 * day);
    await fill(0, 1_000);
    nowSeconds = noon + 10_000;
    await retention.makeRoom();
    expect((await store.extent()).rowCount).toBe(1_000);
  });
});
