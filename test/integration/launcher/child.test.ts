import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { backoffMs, type ChildSpec, createChild } from "../../../services/launcher/children/child.ts";
import { stopInOrder } from "../../../services/launcher/stop-in-order.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";

const log = pino({ level: "silent" });
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "carillon-child-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe("a supervised child", () => {
  const deaths: number[] = [];
  const pids: number[] = [];
  /** What it had written by then. */
  const refusals: string[] = [];
  let output = "";
  const child = (script: string, name = "stand-in", spec: Partial<ChildSpec> = {}) =>
    createChild(
      {
        name,
        command: process.execPath,
        args: ["-e", script],
        env: process.env,
        channel: true,
        stopSignal: "SIGTERM",
        ...spec,
      },
      {
        clock: systemClock,
        log,
        prefix: `${name} | `,
        write: (text) => {
          output += text;
        },
        onSpawn: (pid) => pids.push(pid),
        onGone: () => {},
        onDeath: (count) => deaths.push(count),
        onRefusal: () => refusals.push(output),
      },
    );
  const live = "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000); console.log('up');";
  const never = new AbortController().signal;
  beforeEach(() => {
    deaths.length = 0;
    pids.length = 0;
    refusals.length = 0;
    output = "";
  });
  const ups = (count: number) =>
    vi.waitFor(() => expect(output.split("up\n").length - 1).toBe(count), { timeout: 30_000 });

  it("starts again after each kill, with a new process, and drains on stop", async () => {
    const supervised = child(live);
    supervised.start();
    await ups(1);
    process.kill(pids[0] ?? 0, "SIGKILL");
    await ups(2);
    expect(new Set(pids).size).toBe(2);
    expect(deaths).toEqual([1]);
    expect(await supervised.stop(never)).toBe("drained");
    expect(output).toBe("stand-in | up\nstand-in | up\n");
  });

  it("that refuses its configuration is not started again, and all that it wrote is there by then", async () => {
    const refusing = child("process.stderr.write('why\\n'); process.exit(2);", "stand-in", { refusalCode: 2 });
    refusing.start();
    await vi.waitFor(() => expect(refusals).toEqual(["stand-in | why\n"]), { timeout: 30_000 });
    expect(deaths).toEqual([]);
    expect(await refusing.stop(never)).toBe("drained");
    expect(pids).toHaveLength(1);
  });

  it("is started again after the same exit code when it means nothing of the kind: nats-server ends so in a crash", async () => {
    const crashing = child("console.log('up'); process.exit(2);");
    crashing.start();
    await ups(2);
    expect(refusals).toEqual([]);
    await crashing.stop(never);
  });

  it("waits longer after each death, up to five seconds", () => {
    expect([1, 2, 3, 6, 7, 50].map(backoffMs)).toEqual([100, 200, 400, 3_200, 5_000, 5_000]);
  });

  it("that will not stop is killed at its deadline, and that counts", async () => {
    const deaf = child("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up');");
    deaf.start();
    await ups(1);
    expect(await deaf.stop(AbortSignal.timeout(200))).toBe("killed");
  });

  it("stops in the order given, each only after the one before is gone", async () => {
    const file = join(dir, "order");
    const noting = (name: string) =>
      child(
        `process.on('SIGTERM', () => setTimeout(() => { require('fs').appendFileSync(${JSON.stringify(file)}, '${name} '); process.exit(0); }, 50)); setInterval(() => {}, 1000); console.log('up');`,
        name,
      );
    const all = ["ticker", "executor", "history"].map(noting);
    for (const one of all) one.start();
    await ups(3);
    const steps = all.map((one) => ({ child: one, untilMs: 30_000 }));
    expect(await stopInOrder(steps, systemClock, never)).toBe(true);
    expect(await readFile(file, "utf8")).toBe("ticker executor history ");
  });

  it("is killed at once when the stop is forced, and so are those after it", async () => {
    const all = [1, 2].map(() =>
      child("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up');"),
    );
    for (const one of all) one.start();
    await ups(2);
    const force = new AbortController();
    const stopped = stopInOrder(
      all.map((one) => ({ child: one, untilMs: 60_000 })),
      systemClock,
      force.signal,
    );
    force.abort();
    expect(await stopped).toBe(false);
  });
});
