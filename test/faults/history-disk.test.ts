import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ExecutionService } from "../../gen/carillon/v1/execution_pb.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { createLog } from "../../services/platform/process/log.ts";
import { createGrpcClient } from "../../services/platform/rpc/grpc/grpc-client.ts";
import { type HistoryProcess, startHistoryProcess } from "../support/history-process.ts";
import { noon } from "../support/history-results.ts";
import { type HistoryRig, startHistoryRig, wireResult } from "../support/history-rig.ts";
import { jobNamed, jobsNamed } from "../support/job-ids.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const diskBytes = 64 * 1024 * 1024;
const patience = { timeout: 60_000, interval: 50 };

/** Takes a file system of that size; false where nobody may. */
function mountDisk(folder: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${diskBytes}`, "tmpfs", folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const mayMount = process.getuid?.() === 0;

describe.runIf(mayMount)("history on a disk of 64 MiB", () => {
  let rig: HistoryRig;
  let disk: string;
  let history: HistoryProcess;

  const start = async (env: Record<string, string> = {}) => {
    history = await startHistoryProcess({ natsUrl: rig.nats.url, dataDir: disk, env });
  };
  beforeEach(async (context) => {
    rig = await startHistoryRig();
    disk = join(rig.dataDir, "disk");
    mkdirSync(disk);
    if (!mountDisk(disk)) context.skip("no file system may be mounted here");
  });
  afterEach(async () => {
    await history.kill("SIGKILL");
    execFileSync("umount", [disk]);
    await rig.stop();
  });

  const ballast = () => join(disk, "ballast");
  /** Takes all that is left of the disk. */
  const fill = () => {
    const file = openSync(ballast(), "a");
    const chunk = Buffer.alloc(64 * 1024);
    try {
      for (;;) writeSync(file, chunk);
    } catch (error) {
      expect(error).toMatchObject({ code: "ENOSPC" });
    } finally {
      closeSync(file);
    }
  };
  const readiness = async () => {
    const response = await fetch(`${history.opsUrl}/readyz`);
    return { status: response.status, body: await response.text() };
  };
  const takenBytes = () => {
    const folder = join(disk, "history");
    return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  };
  const list = async (jobId: string) => {
    const client = createGrpcClient(ExecutionService, { address: history.grpcAddress }, deps);
    const { executions } = await client.listExecutions({ jobId, pageSize: 1_000 });
    client.close();
    return executions.map(({ scheduledTime }) => Number(scheduledTime?.seconds) - noon);
  };

  it("waits while it is full, says why, and goes on by itself as soon as there is room, three times over", async () => {
    await start();
    const jobs = jobsNamed("f", 100);
    const message = "x".repeat(1_000);
    let second = 0;
    const publish = async (count: number) => {
      for (let i = 0; i < count; i++) {
        await rig.publish(...jobs.map((jobId) => wireResult(jobId, noon + second, { message })));
        second++;
      }
    };
    for (let round = 1; round <= 3; round++) {
      fill();
      await publish(30);
      await vi.waitFor(async () => {
        const { status, body } = await readiness();
        expect(status).toBe(503);
        expect(body).toMatch(
          /"storage","ok":false,"message":"[^"]*history cannot be written: database or disk is full/,
        );
      }, patience);
      expect(await rig.unrecorded()).toBeGreaterThan(0);
      rmSync(ballast());
      await rig.allRecorded();
      await vi.waitFor(async () => expect((await readiness()).status).toBe(200), patience);
      const all = Array.from({ length: second }, (_, i) => second - 1 - i);
      for (const jobId of [jobs[0], jobs[99]]) expect(await list(jobId ?? "")).toEqual(all);
      expect(history.lines.filter(({ event }) => event === "commit_failed")).toHaveLength(round);
      expect(history.lines.filter(({ event }) => event === "commits_again")).toHaveLength(round);
    }
  });

  it("levels off at its limit, keeps the last 5 of each job, and says what it forgot", async () => {
    const limitMb = 32;
    await start({ CARILLON_HISTORY_MAX_BYTES: `${limitMb}MB` });
    const rare = jobsNamed("r", 50);
    for (const [i, jobId] of rare.entries()) await rig.publish(wireResult(jobId, noon + i));
    const message = "x".repeat(1_000);
    const seconds = 1_200;
    let most = 0;
    for (let i = 0; i < seconds; i++) {
      const jobs = Array.from({ length: 100 }, (_, k) => jobNamed(`b${k}`));
      await rig.publish(...jobs.map((jobId) => wireResult(jobId, noon + 100 + i, { message })));
      most = Math.max(most, takenBytes());
    }
    await rig.allRecorded();
    // Three times the limit went in.
    await vi.waitFor(() => expect(takenBytes()).toBeLessThanOrEqual(limitMb * 1e6), patience);
    expect(most).toBeLessThan(diskBytes);
    for (const [i, jobId] of rare.entries()) expect(await list(jobId)).toEqual([i]);
    const listed = await list(jobNamed("b7"));
    expect(listed.slice(0, 5)).toEqual([1_299, 1_298, 1_297, 1_296, 1_295]);
    expect(listed.length).toBeLessThan(seconds);
    const forgot = history.lines.filter(({ event, reason }) => event === "history_forgot" && reason === "size");
    expect(forgot.length).toBeGreaterThan(0);
    const shown = await (await fetch(`${history.opsUrl}/metrics`)).text();
    const counted = Number(/^carillon_executions_forgotten_total\{reason="size",.*\} (\d+)$/m.exec(shown)?.[1]);
    expect(counted).toBe(forgot.reduce((sum, { executions }) => sum + Number(executions), 0));
  });
});
