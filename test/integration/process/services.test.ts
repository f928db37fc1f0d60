import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Nats, startNats } from "../../support/nats.ts";
import { mainOf, type Program, runProgram } from "../../support/service-process.ts";

// What the four services have in common, held against each of them as the process that it is.

interface Row {
  name: string;
  /** The variable of its gRPC port. */
  grpc: string;
  /** A value that this service alone refuses, and the line that says so. */
  own: readonly [variable: string, value: string, problem: string];
}

const rows: readonly Row[] = [
  {
    name: "registry",
    grpc: "CARILLON_GRPC_ADDR",
    own: ["CARILLON_METRICS_PEERS", "127.0.0.1:1,nowhere", 'CARILLON_METRICS_PEERS: expected host:port, got "nowhere"'],
  },
  {
    name: "ticker",
    grpc: "CARILLON_TICKER_GRPC_ADDR",
    own: ["CARILLON_TICKER_ID", "a.b", 'CARILLON_TICKER_ID: expected 1 to 64 letters, digits, "_" or "-", got "a.b"'],
  },
  {
    name: "executor",
    grpc: "CARILLON_EXECUTOR_GRPC_ADDR",
    own: ["CARILLON_HISTORY_ADDR", "history", 'CARILLON_HISTORY_ADDR: expected host:port, got "history"'],
  },
  {
    name: "history",
    grpc: "CARILLON_HISTORY_GRPC_ADDR",
    own: [
      "CARILLON_HISTORY_GRPC_ADDR",
      "0.0.0.0:0",
      "CARILLON_INTERNAL_TOKEN: needed when CARILLON_HISTORY_GRPC_ADDR is not a loopback address",
    ],
  },
];

let dir: string;
let taken: Server;
let takenAddress: string;
const running: Program[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "carillon-process-"));
  taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  takenAddress = `127.0.0.1:${address && typeof address === "object" ? address.port : 0}`;
});
afterEach(async () => {
  for (const { child } of running) child.kill("SIGKILL");
  await Promise.all(running.splice(0).map(({ ended }) => ended));
  await new Promise((resolve) => taken.close(resolve));
  await rm(dir, { recursive: true, force: true });
});

/** Nobody listens there. */
const noBroker = "nats://127.0.0.1:1";

function run(row: Row, env: Record<string, string>): Program {
  const program = runProgram([mainOf(row.name)], {
    env: {
      NATS_URL: noBroker,
      CARILLON_DATA_DIR: join(dir, "data"),
      CARILLON_OPS_ADDR: "127.0.0.1:0",
      ...(row.name === "registry" && { CARILLON_HTTP_ADDR: "127.0.0.1:0" }),
      [row.grpc]: "127.0.0.1:0",
      ...env,
    },
  });
  running.push(program);
  return program;
}

describe.each(rows)("the $name, with a bad configuration,", (row) => {
  const [variable, value, problem] = row.own;
  const cases: [string, Record<string, string>, readonly string[]][] = [
    ["a value of its own", { [variable]: value }, [problem]],
    [
      "an unknown variable",
      { CARILLON_LOG_LEVLE: "info" },
      ["CARILLON_LOG_LEVLE: unknown variable; did you mean CARILLON_LOG_LEVEL?"],
    ],
    [
      "two problems at once",
      { CARILLON_REPLICAS: "9", CARILLON_OPS_ADDRES: "x" },
      [
        'CARILLON_REPLICAS: expected a whole number from 1 to 5, got "9"',
        "CARILLON_OPS_ADDRES: unknown variable; did you mean CARILLON_OPS_ADDR?",
      ],
    ],
  ];

  it.each(cases)("%s, ends with 2, names what is wrong, and starts nothing", async (_, env, problems) => {
    // It would end with 1 if it had tried to listen: the port is taken.
    const { code, signal, stdout, stderr } = await run(row, { CARILLON_OPS_ADDR: takenAddress, ...env }).ended;
    expect({ code, signal, stdout }).toEqual({ code: 2, signal: null, stdout: "" });
    const lines = problems.map((line) => `  ${line}\n`).join("");
    expect(stderr).toBe(`${row.name}: the configuration is not valid:\n${lines}`);
    expect(await readdir(dir)).toEqual([]);
  });
});

describe.each(rows)("the $name", (row) => {
  let nats: Nats;
  let noJetStream: Nats;
  beforeAll(async () => {
    [nats, noJetStream] = await Promise.all([startNats(), startNats({ jetStream: false })]);
  });
  afterAll(() => Promise.all([nats.stop(), noJetStream.stop()]));

  it("says where it listens, and ends with 0 on SIGTERM", async () => {
    const program = run(row, { NATS_URL: nats.url });
    const listening = await program.logged("started");
    for (const face of ["grpc", "ops", ...(row.name === "registry" ? ["http"] : [])]) {
      expect(listening[face]).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    }
    const { status } = await fetch(`http://${listening.ops}/healthz`);
    expect(status).toBe(200);
    program.kill("SIGTERM");
    expect(await program.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(program.lines.at(-1)?.event).toBe("stopped");
  });

  it("ends with 0 on SIGTERM while it waits for a broker", async () => {
    const program = run(row, {});
    await program.logged("ops_listening");
    program.kill("SIGTERM");
    expect(await program.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(program.lines.at(-1)?.event).toBe("stopped");
  });

  it("ends with 0 on SIGTERM while it waits for JetStream", async () => {
    const program = run(row, { NATS_URL: noJetStream.url });
    await program.logged("streams_not_ready");
    program.kill("SIGTERM");
    expect(await program.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(program.lines.at(-1)?.event).toBe("stopped");
  });

  it.each([
    "CARILLON_OPS_ADDR",
    row.grpc,
  ])("ends with 1 when the port of %s is taken, and says so", async (variable) => {
    const program = run(row, { NATS_URL: nats.url, [variable]: takenAddress });
    expect(await program.ended).toMatchObject({ code: 1, signal: null });
    expect(program.lines.at(-1)).toMatchObject({
      event: "start_failed",
      err: { message: expect.stringContaining(takenAddress) },
    });
  });
});
