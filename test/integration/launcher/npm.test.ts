import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isRunning } from "../../support/is-running.ts";
import { repositoryDir } from "../../support/nats.ts";

describe("npm start", () => {
  let dataDir: string;
  let npm: ChildProcess;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "carillon-npm-"));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(CARILLON_|NATS_URL$|npm_)/.test(name)),
  );
  const start = async () => {
    npm = spawn("npm", ["start"], {
      cwd: repositoryDir,
      env: {
        ...inherited,
        CARILLON_DATA_DIR: dataDir,
        CARILLON_HTTP_ADDR: "127.0.0.1:0",
        CARILLON_GRPC_ADDR: "127.0.0.1:0",
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    await new Promise<void>((resolve, reject) => {
      npm.once("exit", (code) => reject(new Error(`npm ended with ${code}:\n${output}`)));
      npm.stdout?.on("data", (chunk) => {
        output += chunk;
        if (output.includes("Carillon is running.")) resolve();
      });
    });
    npm.removeAllListeners("exit");
    const names = (await readdir(join(dataDir, "run"))).filter((name) => name.endsWith(".pid"));
    return Promise.all(names.map(async (name) => Number(await readFile(join(dataDir, "run", name), "utf8"))));
  };

  it.each(["SIGINT", "SIGTERM"] as const)("ends with code 0 and leaves nothing behind on %s to npm", async (signal) => {
    const pids = await start();
    expect(pids).toHaveLength(6);
    expect(pids.every(isRunning)).toBe(true);
    const exited = once(npm, "exit");
    npm.kill(signal);
    expect(await exited).toEqual([0, null]);
    expect(pids.filter(isRunning)).toEqual([]);
  });
});
