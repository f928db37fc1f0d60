import { afterAll, beforeAll, expect, it } from "vitest";
import type { Readiness } from "../../services/platform/process/conditions.ts";
import { eventually, restClient } from "../support/rest.ts";
import { type ProcessName, type System, startSystem } from "../support/system.ts";
import { startWitness, type Witness } from "../support/witness.ts";

let system: System;
let witness: Witness;
let stopped: ProcessName | undefined;

beforeAll(async () => {
  [system, witness] = await Promise.all([startSystem(), startWitness()]);
});
afterAll(async () => {
  if (stopped) system.kill(stopped, "SIGCONT");
  await system?.stop();
  await witness?.stop();
});

const ask = async () => {
  const response = await fetch(`${system.httpUrl}/readyz`);
  const { status, conditions } = (await response.json()) as Readiness;
  const failed = conditions.flatMap(({ name, ok, message }) => (ok ? [] : [`${name}: ${message}`]));
  return { code: response.status, status, failed };
};
const ready = () => eventually(ask, ({ code }) => code === 200);
const job = () => ({ schedule: "* * * * * *", api_endpoint: witness.url, type: "ATLEAST_ONCE" });

it("the front door says that jobs fire, and whoever creates one is not warned", async () => {
  // On a machine so busy that occurrences are late the warning is true.
  await eventually(
    () => restClient(system.httpUrl).post("/jobs", job()),
    ({ body }) => body.job_id !== undefined && body.warning === undefined,
  );
  await witness.until((calls) => calls.length >= 2);
  expect(await ready()).toEqual({ code: 200, status: "ready", failed: [] });
});

const outages: [ProcessName, RegExp, warned: boolean][] = [
  ["ticker", /^publishing: no ticker has had anything stored by the broker for \d+ s$/, true],
  ["executor", /^executors: no executor has asked for work for \d+ s$/, true],
  ["history", /^history: history does not answer: executions cannot be read, jobs fire$/, false],
  ["nats-server", /^broker: the broker cannot be reached, or its streams do not stand: nothing fires$/, true],
];
it.each(
  outages,
)("it says in words that the %s is away, is alive all the while, and ready again by itself", async (name, told, warned) => {
  await ready();
  stopped = name;
  system.kill(name, "SIGSTOP");
  const { code, status } = await eventually(ask, ({ failed }) => failed.some((line) => told.test(line)));
  expect([code, status]).toEqual([503, "not_ready"]);
  expect((await fetch(`${system.httpUrl}/livez`)).status).toBe(200);
  const created = await restClient(system.httpUrl).post("/jobs", job());
  expect([created.status, created.body.warning !== undefined]).toEqual([200, warned]);
  system.kill(name, "SIGCONT");
  stopped = undefined;
  await ready();
  await witness.until((calls) => calls.some((call) => call.jobId === created.body.job_id));
});

it("the services themselves say what they do not get from a broker that has stopped answering", async () => {
  await ready();
  stopped = "nats-server";
  system.kill(stopped, "SIGSTOP");
  const failedOf = async (service: "executor" | "history") => {
    const response = await fetch(`http://127.0.0.1:${system.addresses.ops[service].port}/readyz`);
    const { conditions } = (await response.json()) as Readiness;
    return response.status === 503 ? conditions.filter(({ ok }) => !ok).map(({ name }) => name) : [];
  };
  await eventually(
    () => failedOf("executor"),
    (failed) => failed.includes("due") && failed.includes("retries"),
  );
  await eventually(
    () => failedOf("history"),
    (failed) => failed.includes("storage"),
  );
  system.kill(stopped, "SIGCONT");
  stopped = undefined;
  await eventually(
    () => failedOf("executor"),
    (failed) => failed.length === 0,
  );
  await ready();
});
