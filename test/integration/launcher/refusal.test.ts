import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { natsCacheEnv, repositoryDir } from "../../support/nats.ts";
import { mainOf, type Program, runProgram } from "../../support/service-process.ts";

let dir: string;
let program: Program;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "carillon-refusal-"));
});
afterEach(async () => {
  program.child.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true });
});

const launch = (name: "launcher" | "demo", env: Record<string, string>) => {
  program = runProgram([name === "demo" ? mainOf("launcher/demo") : mainOf("launcher")], {
    env: {
      ...natsCacheEnv,
      TMPDIR: dir,
      CARILLON_DATA_DIR: join(dir, "data"),
      CARILLON_HTTP_ADDR: "127.0.0.1:0",
      CARILLON_GRPC_ADDR: "127.0.0.1:0",
      ...env,
    },
  });
  return program;
};

describe.each(["launcher", "demo"] as const)("the %s", (name) => {
  it("prints all problems of its configuration together, ends with 2, and starts nothing", async () => {
    const env = {
      CARILLON_REPLICAS: "x",
      CARILLON_HISTORY_RETENTION: "30",
      CARILLON_HISTORY_MAX_BYTES: "1MB",
      CARILLON_NAME_SERVERS: "10.0.0.2, dns.example",
      CARILLON_HTTP_ADR: "127.0.0.1:1",
    };
    expect(await launch(name, env).ended).toEqual({
      code: 2,
      signal: null,
      stdout: "",
      stderr: [
        `${name}: the configuration is not valid:`,
        '  CARILLON_REPLICAS: expected a whole number from 1 to 5, got "x"',
        '  CARILLON_HISTORY_RETENTION: expected a number and s, m, h or d, as in 30d, and at least 1m; got "30"',
        '  CARILLON_HISTORY_MAX_BYTES: expected a number and MB, GB or TB, as in 10GB, and at least 16MB; got "1MB"',
        '  CARILLON_NAME_SERVERS: "dns.example" is no IP address, as 10.0.0.2 or 10.0.0.2:53',
        "  CARILLON_HTTP_ADR: unknown variable; did you mean CARILLON_HTTP_ADDR?",
        "",
      ].join("\n"),
    });
    expect(await readdir(dir)).toEqual([]);
  });
});

describe("a service that refuses its configuration", () => {
  it("is started once, is heard, and ends the launcher in order with the same exit code", async () => {
    const { code, stdout, stderr } = await launch("launcher", { CARILLON_TICKER_ID: "a.b" }).ended;
    expect(code).toBe(2);
    expect(stderr).toContain("ticker refuses its configuration");
    expect(stderr).toContain("stopped\n");
    expect(stdout.match(/^ticker +\| ticker: the configuration is not valid:$/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^ticker +\| {3}CARILLON_TICKER_ID: expected .*, got "a\.b"$/m);
    expect(await readdir(join(dir, "data/run"))).not.toContain("ticker.pid");
  });

  it("stops the launcher also when everything ran before", async () => {
    await mkdir(join(dir, "data"));
    const at = (file: string) => JSON.stringify(join(repositoryDir, "services", file));
    program = runProgram([
      "--input-type=module-typescript",
      "-e",
      `import { runUntilSignal } from ${at("launcher/run-until-signal.ts")};
       import { systemClock } from ${at("platform/process/clock.ts")};
       const refusal = Promise.withResolvers();
       const alive = setInterval(() => {}, 1000);
       runUntilSignal(
         { start: async () => ({}), stop: async () => { console.log("stop called"); return true; }, kill() {}, refusal: refusal.promise },
         { clock: systemClock, underNpm: false, onStarted: () => refusal.resolve("executor"), beforeExit: () => console.log("before exit") },
       );`,
    ]);
    expect(await program.ended).toMatchObject({ code: 2, stdout: "stop called\nbefore exit\n" });
  });
});
