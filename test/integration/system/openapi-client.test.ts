import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import openapiTs, { astToString } from "openapi-typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { repositoryDir } from "../../support/nats.ts";
import { eventually, type RestClient, restClient } from "../../support/rest.ts";
import { type System, startSystem } from "../../support/system.ts";
import { startTarget, type Target } from "../../support/target.ts";

const run = promisify(execFile);

interface Schema {
  $ref?: string;
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  enum?: unknown[];
}
interface Operation {
  summary: string;
  requestBody?: object;
  responses: Record<string, { content: Record<string, { schema: Schema }> }>;
  security?: unknown;
  "x-unimplemented"?: boolean;
}

describe("what /openapi.json says of the whole system", () => {
  let system: System;
  let target: Target;
  let rest: RestClient;
  // biome-ignore lint/suspicious/noExplicitAny: a document is looked at as any reader would
  let document: any;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "carillon-openapi-"));
    target = await startTarget();
    system = await startSystem();
    rest = restClient(system.httpUrl);
    document = (await rest.get("/openapi.json")).body;
  });
  afterAll(async () => {
    await system.stop();
    await target.stop();
    await rm(folder, { recursive: true });
  });

  /** What is wrong with a value, by its schema. */
  const faultsOf = (schema: Schema, value: unknown, path = "$"): string[] => {
    if (schema.$ref) return faultsOf(document.components.schemas[schema.$ref.split("/").at(-1) ?? ""], value, path);
    if (schema.enum && !schema.enum.includes(value)) return [`${path} is ${value}, none of ${schema.enum}`];
    if (Array.isArray(value)) {
      return value.flatMap((item, i) => faultsOf(schema.items ?? {}, item, `${path}[${i}]`));
    }
    const kind = typeof value === "number" ? "integer" : typeof value;
    if (schema.type !== undefined && schema.type !== kind) return [`${path} is ${kind}, not ${schema.type}`];
    if (typeof value !== "object" || value === null) return [];
    const missing = (schema.required ?? [])
      .filter((name) => !(name in value))
      .map((name) => `${path}.${name} is missing`);
    const others = Object.entries(value).flatMap(([name, one]) => {
      const known = schema.properties?.[name] ?? schema.additionalProperties;
      if (known === undefined || known === false) return [`${path}.${name} is not declared`];
      return known === true ? [] : faultsOf(known, one, `${path}.${name}`);
    });
    return [...missing, ...others];
  };
  const operationAt = (verb: string, path: string): Operation => document.paths[path][verb.toLowerCase()];
  const call = async (
    verb: "get" | "post" | "patch" | "delete",
    path: string,
    ids: Record<string, string>,
    body?: object,
  ) => {
    const answer = await rest[verb](
      path.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? ""),
      body ?? {},
    );
    expect(answer.status, path).toBe(200);
    const { schema = {} } = operationAt(verb, path).responses["200"]?.content["application/json"] ?? {};
    expect(faultsOf(schema, answer.body), `${verb} ${path}`).toEqual([]);
    return answer.body;
  };

  it("is true: each answer has what is required in it, and nothing that is not declared", async () => {
    target.on("/hook", { status: 500 });
    const job = { schedule: "0 0 1 1 *", type: "ATLEAST_ONCE", api_endpoint: target.url("/hook") };
    const { job_id } = await call("post", "/jobs", {}, { ...job, retry: { min_backoff: "0s" } });
    await call("post", "/jobs:batchCreate", {}, { requests: [{ job }, { job: { ...job, schedule: "@hourly" } }] });
    await call("get", "/jobs", {});
    await call("get", "/jobs/{job_id}", { job_id });
    await call("patch", "/jobs/{job_id}", { job_id }, { display_name: "x" });
    await call("post", "/jobs/{job_id}:pause", { job_id });
    await call("post", "/jobs/{job_id}:resume", { job_id });
    await call("post", "/schedules:preview", {}, { schedule: "@hourly" });
    const { execution_id } = await call("post", "/jobs/{job_id}:run", { job_id });
    await eventually(
      () => rest.get(`/jobs/${job_id}/dead-executions`),
      ({ body }) => body.dead_executions.length === 1,
    );
    await eventually(
      () => rest.get(`/executions/${execution_id}`),
      ({ body }) => body.status === "FAILED",
    );
    await call("get", "/executions/{execution_id}", { execution_id });
    await call("get", "/jobs/{job_id}/executions", { job_id });
    await call("get", "/dead-executions", {});
    await call("get", "/jobs/{job_id}/dead-executions", { job_id });
    await call("post", "/jobs/{job_id}/dead-executions:redrive", { job_id });
    await call("post", "/dead-executions:redrive", {});
    await call("delete", "/jobs/{job_id}", { job_id });
  });

  it("asks for no token where there is none", () => {
    expect(document.security).toBeUndefined();
    expect(document.components.securitySchemes).toBeUndefined();
  });

  it("marks the calls that are not built, and no others", async () => {
    for (const [path, item] of Object.entries<Record<string, Operation>>(document.paths)) {
      for (const [verb, operation] of Object.entries(item)) {
        const unbuilt = operation["x-unimplemented"] === true;
        expect(operation.summary.startsWith("Not built yet: "), path).toBe(unbuilt);
        if (path.endsWith(":watch")) continue;
        const url = system.httpUrl + path.replace(/\{\w+\}/g, "none");
        const body = operation.requestBody ? { body: "{}" } : {};
        expect((await fetch(url, { method: verb.toUpperCase(), ...body })).status === 501, path).toBe(unbuilt);
      }
    }
  });

  it("makes a client by openapi-typescript that needs no exclamation mark, and may send back what it got", async () => {
    const types = astToString(await openapiTs(document));
    await writeFile(join(folder, "api.d.ts"), types);
    await writeFile(join(folder, "client.mts"), client);
    const tsc = join(repositoryDir, "node_modules/typescript/bin/tsc");
    const options = ["--noEmit", "--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"];
    const built = run(process.execPath, [tsc, ...options, "--target", "es2022", "--module", "nodenext", "client.mts"], {
      cwd: folder,
    }).catch((error: { stdout: string }) => Promise.reject(new Error(error.stdout)));
    await expect(built).resolves.toMatchObject({ stdout: "" });
  });
});

const client = `
import type { components, operations, paths } from "./api.d.ts";

type Body<O> = O extends { requestBody: { content: { "application/json": infer B } } } ? B : never;
type Answer<O> = O extends { responses: { 200: { content: { "application/json": infer A } } } } ? A : never;

declare function call<O extends keyof operations>(
  operation: O, ...body: Body<operations[O]> extends never ? [] : [Body<operations[O]>]
): Promise<Answer<operations[O]>>;

const job = await call("createJob", { schedule: "@hourly", api_endpoint: "https://example.com/", type: "ATLEAST_ONCE" });
const text: string = job.job_id + job.state + job.created_at + job.updated_at + job.etag + job.http.timeout;
const numbers: number = job.generation + job.retry.max_attempts;
const labels: string | undefined = job.labels["team"];
const next: string | undefined = job.next_run_time;
await call("updateJob", { ...job, display_name: "x" });
await call("updateJob", { display_name: "x" });
await call("batchCreateJobs", { requests: [{ job }] });
// @ts-expect-error: what a job needs is still asked for
await call("createJob", { schedule: "@hourly" });
// @ts-expect-error: what may be absent is not taken for granted
const taken: string = job.next_run_time;

const { executions, next_page_token } = await call("listExecutions");
for (const execution of executions) {
  const line: string = execution.execution_id + execution.job_id + execution.status + execution.timestamp;
  const spent: number = execution.duration_ms + execution.attempt_count + execution.attempts.length;
  for (const attempt of execution.attempts) attempt.timestamp.slice(attempt.attempt);
  const status: number | undefined = execution.http_status;
}
const { dead_executions } = await call("listDeadExecutions");
for (const dead of dead_executions) dead.death_time.slice(dead.attempt_count);
const run: string = (await call("runJob")).execution_id + next_page_token;
type Known = paths["/jobs/{job_id}"]["get"] | components["schemas"]["JobState"];
`;
