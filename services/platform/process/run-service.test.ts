import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Program, type ProgramOptions, runProgram } from "../../../test/support/service-process.ts";

const imported = (file: string) => JSON.stringify(join(import.meta.dirname, file));

/** A service whose parts are spelled in code; the rest is one that starts and stops at once. */
interface Script {
  before?: string;
  readConfig?: string;
  create?: string;
  start?: string;
  stop?: string;
  machine?: string;
}

const running: Program[] = [];
afterEach(async () => {
  for (const { child } of running) child.kill("SIGKILL");
  await Promise.all(running.splice(0).map(({ ended }) => ended));
});

function run(script: Script, options?: ProgramOptions): Program {
  const code = `
    import { runService } from ${imported("run-service.ts")};
    import { readEnvironment } from ${imported("environment.ts")};
    import { systemClock, systemRandom } from ${imported("clock.ts")};
    const say = (event) => process.stdout.write(JSON.stringify({ event }) + "\\n");
    ${script.before ?? ""}
    runService({
      name: "stand-in",
      readConfig(env) { ${script.readConfig ?? `return { logLevel: "info" };`} },
      create(config, { log, clock, metrics }) {
        ${script.create ?? ""}
        const alive = setInterval(() => {}, 1000);
        const addresses = { grpc: { host: "127.0.0.1", port: 1 }, ops: { host: "127.0.0.1", port: 2 } };
        return {
          async start() { ${script.start ?? ""} },
          async stop() { say("stop called"); ${script.stop ?? ""} },
          addresses: () => addresses,
        };
      },
    }, process.env${script.machine ? `, ${script.machine}` : ""});`;
  const program = runProgram(["--input-type=module-typescript", "-e", code], options);
  running.push(program);
  return program;
}

const eventsOf = ({ lines }: Program) => lines.map(({ event }) => event);

describe("a process that is a service", () => {
  it("works in UTC from its configuration on, whatever zone it was started in", async () => {
    const zone = "say(Intl.DateTimeFormat().resolvedOptions().timeZone + new Date(0).getTimezoneOffset());";
    const program = run(
      {
        // What is asked before must not be kept.
        before: zone,
        readConfig: `${zone} return { logLevel: "info" };`,
        create: zone,
      },
      { env: { TZ: "America/New_York" } },
    );
    await program.logged("started");
    expect(eventsOf(program).slice(0, 3)).toEqual(["America/New_York300", "UTC0", "UTC0"]);
  });

  it("prints all problems of its configuration together, ends with 2, and makes nothing", async () => {
    const program = run(
      {
        readConfig: `const read = readEnvironment(env);
          const config = { logLevel: read.logLevel(), replicas: read.integer("CARILLON_REPLICAS", 1, 1, 5) };
          read.done();
          return config;`,
        create: `say("created");`,
      },
      { env: { CARILLON_REPLICAS: "x", CARILLON_LOG_LEVLE: "info" } },
    );
    expect(await program.ended).toEqual({
      code: 2,
      signal: null,
      stdout: "",
      stderr: [
        "stand-in: the configuration is not valid:",
        '  CARILLON_REPLICAS: expected a whole number from 1 to 5, got "x"',
        "  CARILLON_LOG_LEVLE: unknown variable; did you mean CARILLON_LOG_LEVEL?",
        "",
      ].join("\n"),
    });
  });

  it("does not take a mistake in its own code for one in the configuration", async () => {
    const { code, stderr } = await run({ readConfig: `throw new TypeError("a slip");` }).ended;
    expect([code, stderr]).toEqual([1, expect.stringContaining("a slip")]);
  });

  it("gives the service a log of the level that was asked for, a clock and metrics of its name", async () => {
    const program = run({
      readConfig: `return { logLevel: "debug" };`,
      start: `log.debug({ event: "now", nowMs: clock.nowMs(), shown: await metrics.metrics() }); log.trace({ event: "too fine" });`,
    });
    const now = await program.logged("now");
    expect(now).toMatchObject({ service: "stand-in", shown: expect.stringContaining('service="stand-in"') });
    expect(now.nowMs).toBeGreaterThan(0);
    expect(await program.logged("started")).toMatchObject({ grpc: "127.0.0.1:1", ops: "127.0.0.1:2" });
    expect(eventsOf(program)).not.toContain("too fine");
  });
});

describe("a service is stopped once, and its process ends with 0,", () => {
  it.each(["SIGTERM", "SIGINT"] as const)("on %s, however often it comes", async (signal) => {
    const program = run(
      { stop: `await new Promise((resolve) => process.once("message", resolve));` },
      { channel: true },
    );
    await program.logged("started");
    program.kill(signal);
    await program.logged("stop called");
    program.kill(signal);
    program.child.send("go on");
    expect(await program.ended).toMatchObject({ code: 0, signal: null });
    expect(eventsOf(program)).toEqual(["started", "stopping", "stop called", "stopped"]);
    expect(program.lines[1]).toMatchObject({ reason: signal });
  });

  it("when the launcher is gone", async () => {
    const program = run({}, { channel: true });
    await program.logged("started");
    program.child.disconnect();
    expect(await program.ended).toMatchObject({ code: 0, signal: null });
    expect(program.lines[1]).toMatchObject({ event: "stopping", reason: "launcher gone" });
  });

  it("when nobody reads its output any more", async () => {
    const program = run({ start: `process.on("message", () => log.info({ event: "unheard" }));` }, { channel: true });
    await program.logged("started");
    program.child.stdout?.destroy();
    program.child.send("say something");
    expect(await program.ended).toMatchObject({ code: 0, signal: null });
  });

  it.each([
    ["ends", "return;"],
    ["fails", `throw new Error("the streams are not there yet");`],
  ])("while it starts, also when the start then %s", async (_, then) => {
    const program = run({
      before: "const stopped = Promise.withResolvers();",
      start: `say("starting"); await stopped.promise; ${then}`,
      stop: "stopped.resolve(); await new Promise((resolve) => setTimeout(resolve, 50));",
    });
    await program.logged("starting");
    program.kill("SIGTERM");
    expect(await program.ended).toMatchObject({ code: 0, signal: null });
    expect(eventsOf(program)).toEqual(["starting", "stopping", "stop called", "stopped"]);
  });
});

describe("a service's process ends with 1", () => {
  const failures: [string, Script, string][] = [
    ["cannot be made", { create: `throw new Error("why");` }, "uncaught_exception"],
    ["does not start", { start: `throw new Error("why");` }, "start_failed"],
    [
      "throws where nobody catches it",
      { start: `setTimeout(() => { throw new Error("why"); });` },
      "uncaught_exception",
    ],
    ["leaves a promise rejected", { start: `void Promise.reject(new Error("why"));` }, "unhandled_rejection"],
  ];
  it.each(failures)("when it %s, and the log says why", async (_, script, event) => {
    const program = run(script);
    expect(await program.ended).toMatchObject({ code: 1, signal: null });
    expect(program.lines.at(-1)).toMatchObject({ event, err: { message: "why" } });
  });

  it("when it does not stop", async () => {
    const program = run({ stop: `throw new Error("why");` });
    await program.logged("started");
    program.kill("SIGTERM");
    expect(await program.ended).toMatchObject({ code: 1, signal: null });
    expect(program.lines.at(-1)).toMatchObject({ event: "stop_failed", err: { message: "why" } });
  });

  it("when it has not stopped at the deadline", async () => {
    const program = run({
      stop: "await new Promise(() => {});",
      machine:
        "{ clock: { ...systemClock, after: (ms, callback) => systemClock.after(ms / 100, callback) }, random: systemRandom }",
    });
    await program.logged("started");
    program.kill("SIGTERM");
    expect(await program.ended).toMatchObject({ code: 1, signal: null });
    expect(program.lines.at(-1)).toMatchObject({ event: "stop_deadline_exceeded", deadlineMs: 9_000 });
  });
});
