import { spawn } from "node:child_process";
import { once } from "node:events";
import { glob, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isRunning } from "../support/is-running.ts";
import { repositoryDir } from "../support/nats.ts";

describe("the bench", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "carillon-bench-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("prints what it has measured, and leaves nothing running, when it is terminated", async () => {
    const bench = spawn(process.execPath, ["test/bench/main.ts", "--only", "burst"], {
      cwd: repositoryDir,
      // Where its system keeps its data.
      env: { ...process.env, TMPDIR: folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const exited = once(bench, "exit");
    let printed = "";
    bench.stdout.on("data", (chunk) => {
      printed += chunk;
    });
    for await (const line of bench.stderr) if (String(line).includes("50000 on one second")) break;
    bench.stderr.resume();
    const pids: number[] = [];
    for await (const file of glob(join(folder, "*/run/*.pid"))) pids.push(Number(await readFile(file, "utf8")));
    expect(pids.filter(isRunning)).toHaveLength(6);

    bench.kill("SIGTERM");
    expect(await exited).toEqual([143, null]);
    expect(pids.filter(isRunning)).toEqual([]);
    const { burst } = JSON.parse(printed.slice(printed.indexOf("\n{"))) as { burst: object[] };
    expect(burst).toHaveLength(1);
  });
});
