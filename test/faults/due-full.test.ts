import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missing } from "../support/ledger.ts";
import { eventually, restClient } from "../support/rest.ts";
import { type System, startSystem } from "../support/system.ts";
import { startWitness, type Witness } from "../support/witness.ts";

const jobCount = 200;
// Of DUE's 2.5 MB they take half a MB a second.
const bodyBytes = 2_500;

describe("with the executor away until DUE is full", () => {
  let system: System;
  let witness: Witness;
  let executor: ChildProcess | undefined;
  let output = "";
  const heard = new Set<() => void>();

  const start = (command: string) => {
    executor = spawn("sh", ["-c", `exec ${command.replace(" --inspect ", " ")}`], { stdio: "ignore" });
  };
  const stopExecutor = async () => {
    if (!executor) throw new Error("no executor was started");
    const gone = once(executor, "exit");
    executor.kill("SIGTERM");
    await gone;
  };
  const commandIn = (text: string) => /^ {2}(env .* \S*executor\/main\.ts)$/m.exec(text)?.[1];
  const timesSaid = (event: string) => output.split(`"event":"${event}"`).length - 1;
  const said = (event: string, count: number) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (timesSaid(event) < count) return;
        heard.delete(check);
        resolve();
      };
      heard.add(check);
      check();
    });

  beforeAll(async () => {
    witness = await startWitness();
    system = await startSystem({
      env: { CARILLON_EXTERNAL: "executor", CARILLON_BROKER_MAX_BYTES: String(8 * 1024 ** 2) },
      onOutput(text) {
        output += text;
        const command = commandIn(output);
        if (command && !executor) start(command);
        for (const check of heard) check();
      },
    });
  });
  afterAll(async () => {
    executor?.kill("SIGKILL");
    await system?.stop();
    await witness?.stop();
  });

  it("everything is made up for once it is back: nothing is lost, and nothing is called twice", async () => {
    const rest = restClient(system.httpUrl);
    const http = { body: "x".repeat(bodyBytes) };
    const job = { schedule: "* * * * * *", api_endpoint: witness.url, type: "ATLEAST_ONCE", http };
    const { body } = await rest.post("/jobs:batchCreate", {
      requests: Array.from({ length: jobCount }, () => ({ job })),
    });
    const jobIds: string[] = body.jobs.map((created: { job_id: string }) => created.job_id);
    const first = Math.floor(Date.parse(body.jobs[0].created_at) / 1000) + 1;
    const firedSince = (second: number) =>
      eventually(
        async () => new Set(witness.calls.filter((call) => call.second >= second).map((call) => call.jobId)).size,
        (jobs) => jobs === jobCount,
      );
    await firedSince(first);
    await stopExecutor();
    // Told again after ten seconds: for as long the ticker has been held back.
    await said("publish_deferred", 2);
    start(commandIn(output) ?? "");
    const last = Math.floor(Date.now() / 1000);
    await firedSince(last + 1);
    const called = () => witness.calls.map((call) => `${call.jobId}-${call.second}`);
    const lost = async () => missing(jobIds, first, last, new Set(called()));
    expect(await eventually(lost, (left) => left.length === 0)).toEqual([]);
    expect(called().length - new Set(called()).size).toBe(0);
    expect(output).not.toContain("due_publish_refused");
  });

  it("a stop ends in order all the same: nobody has to be killed", async () => {
    await stopExecutor();
    await said("publish_deferred", timesSaid("publish_deferred") + 1);
    expect(await system.stop()).toBe(0);
    expect(output).not.toContain("child_killed");
  });
});
