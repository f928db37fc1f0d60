import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { rolldown } from "rolldown";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startBrowser } from "../support/browser.ts";
import { type System, startSystem } from "../support/system.ts";

const token = "s3cret-token";

/** A page with our clients on it, as a web application's server hands it out. */
async function servePage(): Promise<Server> {
  const bundle = await rolldown({
    input: new URL("cross-origin-page.ts", import.meta.url).pathname,
    platform: "browser",
  });
  const { output } = await bundle.generate({ format: "iife" });
  const html = "<!doctype html><title>elsewhere</title><script src=/page.js></script>";
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
    response.end(isScript ? output[0].code : html);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

describe("a page of another origin, in a browser", () => {
  let system: System;
  let browser: Browser;
  let listed: Server;
  let other: Server;
  const originOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  beforeAll(async () => {
    [listed, other, browser] = await Promise.all([servePage(), servePage(), startBrowser()]);
    system = await startSystem({
      env: { CARILLON_API_TOKENS: token, CARILLON_CORS_ORIGINS: `https://app.example.com,${originOf(listed)}` },
    });
  });
  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));
  afterAll(async () => {
    await browser.close();
    await system.stop();
    for (const server of [listed, other]) server.close();
  });

  const open = async (server: Server): Promise<Page> => {
    const page = await browser.newPage();
    await page.goto(originOf(server));
    return page;
  };
  const run = (page: Page, expression: string) =>
    page.evaluate(`${expression.replace("ASKED", JSON.stringify({ baseUrl: system.httpUrl, token }))}`);

  it.each(["connect", "grpc-web"])("calls, is refused and streams over %s when it is listed", async (kind) => {
    const page = await open(listed);
    expect(await run(page, `overTransport("${kind}", ASKED)`)).toEqual({
      jobId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      refused: "NotFound with 1 details",
      streamed: "string",
    });
  });

  it("reads an ETag over REST and sends it back", async () => {
    expect(await run(await open(listed), "overRest(ASKED)")).toEqual([200, 200, 412]);
  });

  it("gets nothing done when it is not listed", async () => {
    const page = await open(other);
    for (const call of ['overTransport("connect", ASKED)', 'overTransport("grpc-web", ASKED)', "overRest(ASKED)"]) {
      await expect(run(page, call), call).rejects.toThrow(/Failed to fetch/);
    }
    const jobs = await fetch(`${system.httpUrl}/jobs`, { headers: { authorization: `Bearer ${token}` } });
    const { jobs: all } = (await jobs.json()) as { jobs: unknown[] };
    expect(all).toHaveLength(3);
  });
});
