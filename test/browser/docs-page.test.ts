import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startBrowser } from "../support/browser.ts";
import { type System, startSystem } from "../support/system.ts";
import { startTarget, type Target } from "../support/target.ts";

const token = "s3cret-token";
const desktop = { width: 1280, height: 720 };
const phone = { width: 390, height: 844 };
const narrowPhone = { width: 360, height: 640 };

describe("the docs page, in a browser", () => {
  let system: System;
  let target: Target;
  let browser: Browser;
  /** What went wrong on the pages of a test, and what they asked of others. */
  let complaints: string[] = [];

  beforeAll(async () => {
    [system, target, browser] = await Promise.all([
      startSystem({ env: { CARILLON_API_TOKENS: token } }),
      startTarget(),
      startBrowser(),
    ]);
  });
  afterEach(async () => {
    const found = complaints;
    complaints = [];
    await Promise.all(browser.contexts().map((context) => context.close()));
    expect(found).toEqual([]);
  });
  afterAll(async () => {
    await browser.close();
    await target.stop();
    await system.stop();
  });

  /** The page, loaded: in a context of its own, that knows nothing of other tests. */
  async function openDocs(viewport = desktop): Promise<Page> {
    const page = await (await browser.newContext({ viewport })).newPage();
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(system.httpUrl) && !url.startsWith("data:")) complaints.push(`asked for ${url}`);
    });
    await page.goto(`${system.httpUrl}/docs`);
    await page.locator(".opblock").first().waitFor();
    return page;
  }

  async function authorize(page: Page): Promise<void> {
    await page.getByRole("button", { name: "Authorize" }).first().click();
    await page.locator(".modal-ux input").fill(token);
    await page.locator(".modal-ux").getByRole("button", { name: "Apply credentials" }).click();
    await page.locator(".modal-ux").getByRole("button", { name: "Close" }).click();
  }

  /** The block of one operation, opened, with its form ready to be filled in. */
  async function tryOut(page: Page, method: string, path: string) {
    const block = page.locator(`.opblock-${method}`, { has: page.locator(`[data-path="${path}"]`) });
    await block.locator(".opblock-summary-control").click();
    await block.getByRole("button", { name: "Try it out" }).click();
    return block;
  }

  /** Creates a job by the form, as edited by a person, and answers with its id. */
  async function createJob(page: Page): Promise<string> {
    const create = await tryOut(page, "post", "/jobs");
    const job = { schedule: "* * * * * *", api_endpoint: target.url("/docs"), type: "ATLEAST_ONCE" };
    await create.locator("textarea.body-param__text").fill(JSON.stringify(job));
    await create.getByRole("button", { name: "Execute" }).click();
    const answer = create.locator(".live-responses-table .response");
    await answer.waitFor();
    expect(await answer.locator(".response-col_status").innerText()).toContain("200");
    const { job_id: jobId } = JSON.parse(await answer.locator(".highlight-code code").first().innerText());
    return jobId;
  }

  /** By how much the page is wider than its window. */
  const overflowPx = (page: Page) =>
    page.evaluate<number>("document.documentElement.scrollWidth - document.documentElement.clientWidth");

  it("shows every operation of both services", async () => {
    const page = await openDocs();
    const document = (await (await fetch(`${system.httpUrl}/openapi.json`)).json()) as {
      paths: Record<string, object>;
    };
    const operations = Object.values(document.paths).flatMap((item) => Object.keys(item));
    expect(await page.locator(".opblock").count()).toBe(operations.length);
  });

  it("offers a form that begins with a job already", async () => {
    const page = await openDocs();
    await authorize(page);
    const create = await tryOut(page, "post", "/jobs");
    await create.getByRole("button", { name: "Execute" }).click();
    const answer = create.locator(".live-responses-table .response");
    await answer.waitFor();
    expect(await answer.locator(".response-col_status").innerText()).toContain("200");
  });

  it("creates a job with the token that was entered, and shows its executions", async () => {
    const page = await openDocs();
    await authorize(page);
    const jobId = await createJob(page);

    await target.until(() => target.arrivals("/docs").length >= 1);
    const list = await tryOut(page, "get", "/jobs/{job_id}/executions");
    await list.locator('tr[data-param-name="job_id"] input').fill(jobId);
    await list.getByRole("button", { name: "Execute" }).click();
    const executions = list.locator(".live-responses-table .response .highlight-code code").first();
    await executions.waitFor();
    expect(JSON.parse(await executions.innerText())).toHaveProperty("executions");
  });

  it.each([phone, narrowPhone])("fits a phone of $width px as it is loaded", async (viewport) => {
    const page = await openDocs(viewport);
    expect(await overflowPx(page)).toBeLessThanOrEqual(0);
  });

  it.each([
    phone,
    narrowPhone,
  ])("fits a phone of $width px with a form that was edited and answered", async (viewport) => {
    const page = await openDocs(viewport);
    await authorize(page);
    await createJob(page);
    await page.getByRole("button", { name: "Reset" }).waitFor();
    expect(await overflowPx(page)).toBeLessThanOrEqual(0);
  });
});
