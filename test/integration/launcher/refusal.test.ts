import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { closedPort } from "../../support/closed-port.ts";
import { type Nats, natsCacheEnv, repositoryDir, startNats } from "../../support/nats.ts";
import { mainOf, type Program, runProgram } from "../../support/service-process.ts";
import { canMount, mountSmallDisk } from "../../support/small-disk.ts";

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
/** How a start ends where a setting is wrong: the last line tells, and nothing stays behind. */
const lastLine = async (env: Record<string, string>) => {
  const { code, stderr } = await launch("launcher", env).ended;
  expect(code).toBe(1);
  return stderr;
};

describe("a wrong setting ends in one sentence that says what to do", () => {
  const elsewhere = "correct NATS_URL, or leave it out: then a server is started here.\n";
  let server: Server | undefined;
  let nats: Nats | undefined;
  afterEach(async () => {
    server?.close();
    await nats?.stop();
    server = undefined;
    nats = undefined;
  });
  const listen = async (onConnection: (socket: Socket) => void) => {
    server = createServer(onConnection).listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };

  it("a port that is taken: which, by whom, and the variable", async () => {
    const port = await listen(() => {});
    const said = await lastLine({ CARILLON_GRPC_ADDR: `127.0.0.1:${port}` });
    const holder = process.platform === "linux" ? `process ${process.pid} (` : "another process";
    expect(said).toContain(`CARILLON_GRPC_ADDR: port ${port} on 127.0.0.1 is taken by ${holder}`);
    expect(said).toMatch(/: stop that one, or set CARILLON_GRPC_ADDR to another address, as 127\.0\.0\.1:\d+\.\n$/);
    expect(said.match(/\n/g)).toHaveLength(1);
  });

  it("NATS_URL where nobody answers", async () => {
    const url = `nats://127.0.0.1:${await closedPort()}`;
    const said = `NATS_URL: no NATS server answers at ${url} (ECONNREFUSED): start it with JetStream, ${elsewhere}`;
    expect(await lastLine({ NATS_URL: url })).toBe(said);
  });

  it("NATS_URL of something else", async () => {
    const url = `nats://127.0.0.1:${await listen((socket) => void socket.on("error", () => {}).end("220 mail\r\n"))}`;
    expect(await lastLine({ NATS_URL: url })).toBe(`NATS_URL: what answers at ${url} is no NATS server: ${elsewhere}`);
  });

  it("NATS_URL of a server without JetStream", async () => {
    nats = await startNats({ jetStream: false });
    expect(await lastLine({ NATS_URL: nats.url })).toBe(
      `NATS_URL: the server at ${nats.url} has JetStream switched off: start it with JetStream (nats-server -js), ${elsewhere}`,
    );
  });

  it("NATS_URL of a server that wants credentials", async () => {
    const info = JSON.stringify({ server_id: "x", version: "2.10.0", auth_required: true, max_payload: 1, proto: 1 });
    const refuse = (socket: Socket) => {
      socket.on("error", () => {}).write(`INFO ${info}\r\n`);
      socket.on("data", (text) => /CONNECT/.test(String(text)) && socket.end("-ERR 'Authorization Violation'\r\n"));
    };
    const url = `nats://127.0.0.1:${await listen(refuse)}`;
    expect(await lastLine({ NATS_URL: url })).toContain(
      `the server at ${url} asks for credentials, and Carillon has none`,
    );
  });

  it("a data folder that cannot be", async () => {
    await writeFile(join(dir, "file"), "");
    expect(await lastLine({ CARILLON_DATA_DIR: join(dir, "file/data") })).toMatch(
      /^CARILLON_DATA_DIR: \S+ is a file, or lies below one \(E\w+\): set CARILLON_DATA_DIR to another folder\.\n$/,
    );
  });

  it.runIf(canMount)("a data folder on a disk that is full", async () => {
    const disk = await mountSmallDisk(join(dir, "disk"), 1);
    try {
      disk.fill();
      expect(await lastLine({ CARILLON_DATA_DIR: join(dir, "disk/data") })).toMatch(
        /^CARILLON_DATA_DIR: the disk of \S+ is full \(ENOSPC\): make room, or set CARILLON_DATA_DIR to another folder\.\n$/,
      );
    } finally {
      await disk.unmount();
    }
  });
});
