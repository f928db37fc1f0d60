import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startBrowser } from "../support/browser.ts";
import { type System, startSystem } from "../support/system.ts";
import { startTarget, type Target } from "../support/target.ts";

const token = "s3cret-token";

describe("the docs page, in a browser", () => {
  let system: System;
  let target: Target;
  let browser: Browser;
  let page: Page;
  /** What went wrong on the page, and what it asked of others. */
  const complaints: string[] = [];

  beforeAll(async () => {
    [system, target, browser] = await Promise.all([
      startSystem({ env: { CARILLON_API_TOKENS: token } }),
      startTarget(),
      startBrowser(),
    ]);
    page = await browser.newPage();
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(system.httpUrl) && !url.startsWith("data:")) complaints.push(`asked for ${url}`);
    });
    await page.goto(`${system.httpUrl}/docs`);
  });
  afterAll(async () => {
    await browser.close();
    await target.stop();
    await system.stop();
  });

  /** The block of one operation, opened, with its form ready to be filled in. */
  async function tryOut(method: string, path: string) {
    const block = page.locator(`.opblock-${method}`, { has: page.locator(`[data-path="${path}"]`) });
    await block.locator(".opblock-summary-control").click();
    await block.getByRole("button", { name: "Try it out" }).click();
    return block;
  }

  it("shows every operation of both services", async () => {
    await page.locator(".opblock").first().waitFor();
    const document = (await (await fetch(`${system.httpUrl}/openapi.json`)).json()) as {
      paths: Record<string, object>;
    };
    const operations = Object.values(document.paths).flatMap((item) => Object.keys(item));
    expect(await page.locator(".opblock").count()).toBe(operations.length);
  });

  it("creates a job with the token that was entered, and shows its executions", async () => {
    await page.getByRole("button", { name: "Authorize" }).first().click();
    await page.locator(".modal-ux input").fill(token);
    await page.locator(".modal-ux").getByRole("button", { name: "Apply credentials" }).click();
    await page.locator(".modal-ux").getByRole("button", { name: "Close" }).click();

    const create = await tryOut("post", "/jobs");
    const answer = create.locator(".live-responses-table .response");
    const body = create.locator("textarea.body-param__text");
    // What the form begins with is a job already.
    await create.getByRole("button", { name: "Execute" }).click();
    await answer.waitFor();
    expect(await answer.locator(".response-col_status").innerText()).toContain("200");

    await create.getByRole("button", { name: "Clear" }).click();
    const job = { schedule: "* * * * * *", api_endpoint: target.url("/docs"), type: "ATLEAST_ONCE" };
    await body.fill(JSON.stringify(job));
    await create.getByRole("button", { name: "Execute" }).click();
    await answer.waitFor();
    expect(await answer.locator(".response-col_status").innerText()).toContain("200");
    const { job_id: jobId } = JSON.parse(await answer.locator(".highlight-code code").first().innerText());

    await target.until(() => target.arrivals("/docs").length >= 1);
    const list = await tryOut("get", "/jobs/{job_id}/executions");
    await list.locator('tr[data-param-name="job_id"] input').fill(jobId);
    await list.getByRole("button", { name: "Execute" }).click();
    const executions = list.locator(".live-responses-table .response .highlight-code code").first();
    await executions.waitFor();
    expect(JSON.parse(await executions.innerText())).toHaveProperty("executions");
  });

  it("fits a phone", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    const overflow = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth");
    expect(overflow).toBeLessThanOrEqual(0);
  });

  it("asks nobody else for anything, and has nothing to complain of", () => {
    expect(complaints).toEqual([]);
  });
});
