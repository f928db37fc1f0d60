import { readFileSync } from "node:fs";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createHttpServer, type HttpServer } from "../../../services/platform/rpc/front-door/http-server.ts";
import { readComments } from "../../../services/platform/rpc/openapi/descriptor-comments.ts";
import { createDocsFace } from "../../../services/platform/rpc/openapi/docs-face.ts";
import { describeOpenApi } from "../../../services/platform/rpc/openapi/openapi.ts";
import { createFakeBackend } from "../../support/faces-service.ts";

let server: HttpServer;

beforeAll(async () => {
  // With tokens: the docs are open all the same.
  const { services, pipeline } = createFakeBackend({ tokens: ["s3cret"] });
  const comments = readComments(readFileSync(new URL("../../../gen/carillon.binpb", import.meta.url)));
  const openApi = () => describeOpenApi(services, { title: "Carillon", version: "1" }, comments);
  server = createHttpServer(
    { address: { host: "127.0.0.1", port: 0 } },
    {
      services,
      pipeline,
      probes: { conditions: () => [], metrics: async () => ({ contentType: "text/plain", body: "" }) },
      faces: [createDocsFace({ title: "Carillon", openApi })],
      log: pino({ level: "silent" }),
      clock: systemClock,
    },
  );
  await server.start();
});

afterAll(() => server.stop());

const get = (path: string) => fetch(`http://127.0.0.1:${server.address().port}${path}`);

// biome-ignore lint/suspicious/noExplicitAny: a document is looked at as any reader would
async function readDocument(): Promise<any> {
  return (await get("/openapi.json")).json();
}

test("the OpenAPI document is whole: each reference resolves, each path variable is declared, each operation has a name", async () => {
  const document = await readDocument();
  expect(document.openapi).toBe("3.1.0");
  const references: string[] = JSON.stringify(document).match(/#\/[\w./]+/g) ?? [];
  expect(references.length).toBeGreaterThan(20);
  for (const reference of references) {
    const found = reference
      .slice(2)
      .split("/")
      .reduce((node, key) => node?.[key], document);
    expect(found, reference).toBeTruthy();
  }
  const ids: string[] = [];
  for (const [path, item] of Object.entries<Record<string, never>>(document.paths)) {
    const variables = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    for (const operation of Object.values<{
      operationId: string;
      parameters: { name: string; in: string; schema: object }[];
      responses: object;
    }>(item)) {
      ids.push(operation.operationId);
      const declared = operation.parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name);
      expect(declared).toEqual(variables);
      for (const parameter of operation.parameters) expect(parameter.schema).toBeTruthy();
      expect(Object.keys(operation.responses)).toContain("200");
    }
  }
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toHaveLength(23);
});

test("the schemas tell the comments, bounds and roles of the proto", async () => {
  const { components, paths } = await readDocument();
  const { Job, JobInput, JobState, HttpCall, RetryPolicy } = components.schemas;
  expect(JobInput.required).toEqual(["schedule", "api_endpoint", "type"]);
  expect(Job.required).toEqual(expect.arrayContaining(["job_id", "schedule", "labels", "state", "generation"]));
  expect(Job.required).not.toContain("next_run_time");
  expect(JobInput.properties.http).toEqual({ ...Job.properties.http, $ref: "#/components/schemas/HttpCallInput" });
  expect(Job.properties.schedule).toMatchObject({ type: "string", minLength: 1, maxLength: 256 });
  expect(Job.properties.schedule.description).toMatch(/^When the job is due/);
  expect(Job.properties.job_id.readOnly).toBe(true);
  expect(Job.properties.labels).toMatchObject({
    maxProperties: 64,
    additionalProperties: { type: "string", maxLength: 255 },
  });
  expect(HttpCall.properties.success_codes).toMatchObject({
    maxItems: 64,
    uniqueItems: true,
    items: { minimum: 100, maximum: 599 },
  });
  expect(RetryPolicy.properties.max_attempts).toMatchObject({ type: "integer", minimum: 1, maximum: 20 });
  expect(JobState.enum).toEqual(["ACTIVE", "PAUSED", "COMPLETED"]);
  expect(paths["/jobs/{job_id}"].patch.requestBody.content["application/json"].schema.required).toBeUndefined();
  expect(paths["/jobs"].get.parameters).toMatchObject([
    { name: "page_size", in: "query", schema: { minimum: 0 } },
    { name: "page_token" },
    { name: "filter" },
  ]);
});

test("what a text may be, and an operation that has two paths, are told", async () => {
  const { paths } = await readDocument();
  const operations = ["/dead-executions", "/jobs/{job_id}/dead-executions"].map((path) => paths[path].get);
  expect(operations.map(({ operationId }) => operationId)).toEqual(["listDeadExecutions", "listDeadExecutionsByJobId"]);
  for (const { parameters } of operations) {
    const reason = parameters.find(({ name }: { name: string }) => name === "reason");
    expect(reason.schema.enum).toContain("CONNECTION_REFUSED");
  }
});

test("the docs page and all that it loads come from this server, under a strict policy", async () => {
  const page = await get("/docs");
  expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
  const html = await page.text();
  const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? "");
  expect(loaded).toHaveLength(4);
  for (const path of loaded) {
    expect(path.startsWith("/docs/")).toBe(true);
    expect((await get(path)).status, path).toBe(200);
  }
  // Some pages of text, the document too, for whoever takes less of it: here that is fetch.
  for (const path of [...loaded.filter((one) => one.endsWith(".js") && !one.endsWith("start.js")), "/openapi.json"]) {
    const answer = await get(path);
    expect([answer.headers.get("content-encoding"), answer.headers.get("vary")], path).toEqual([
      "gzip",
      "accept-encoding",
    ]);
  }
  expect((await get("/docs/nothing")).status).toBe(404);
  // The dot makes no call of it.
  const below = await get("/openapi.json/x");
  const { error } = (await below.json()) as { error: { code: number; message: string } };
  expect([below.status, error.code, error.message]).toEqual([404, 404, expect.stringContaining("GET /openapi.json/x")]);
  expect((await get("/docs/../package.json")).status).toBe(404);
  expect((await get("/docs/constructor")).status).toBe(404);
});

test("the root leads people to the docs", async () => {
  const root = await fetch(`http://127.0.0.1:${server.address().port}/`, { redirect: "manual" });
  expect([root.status, root.headers.get("location")]).toEqual([302, "/docs"]);
});

test.each(["/", "/docs", "/openapi.json", "/docs/swagger-ui.css"])("%s is there to be read", async (path) => {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { method: "DELETE" });
  expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
});
