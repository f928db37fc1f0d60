import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Graveyard, openGraveyard } from "../../support/dead-letters.ts";
import { jobNamed } from "../../support/job-ids.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { everyHour, type Registry, removeDir, startRegistry, tempDir } from "../../support/registry.ts";
import { eventually, restClient } from "../../support/rest.ts";

const [a, b] = [jobNamed("a"), jobNamed("b")];

describe("the list of dead executions", () => {
  let nats: Nats;
  let dataDir: string;
  let registry: Registry;
  let graveyard: Graveyard;

  beforeAll(async () => {
    nats = await startNats();
    graveyard = await openGraveyard(nats.url);
    dataDir = await tempDir();
    registry = await startRegistry({ dataDir, natsUrl: nats.url });
    await eventually(
      () => registry.dead.listDeadExecutions({}).catch(() => undefined),
      (answer) => answer !== undefined,
    );
  });
  afterAll(async () => {
    await registry.stop();
    await graveyard.stop();
    await nats.stop();
    await removeDir(dataDir);
  });

  const idsOf = async (request: Parameters<Registry["dead"]["listDeadExecutions"]>[0]) =>
    (await registry.dead.listDeadExecutions(request)).deadExecutions.map(({ executionId }) => executionId);
  /** All pages, and how many there were. */
  const pagesOf = async (request: Parameters<Registry["dead"]["listDeadExecutions"]>[0]) => {
    const pages: string[][] = [];
    let pageToken = "";
    do {
      const answer = await registry.dead.listDeadExecutions({ ...request, pageToken });
      pages.push(answer.deadExecutions.map(({ executionId }) => executionId));
      pageToken = answer.nextPageToken;
    } while (pageToken !== "");
    return pages;
  };

  it("is empty at first", async () => {
    expect(await registry.dead.listDeadExecutions({})).toMatchObject({ deadExecutions: [], nextPageToken: "" });
  });

  it("tells of each what its last attempt came to, and when it died", async () => {
    const fromMs = Date.now();
    await graveyard.bury({ jobId: a, second: 100 });
    await graveyard.bury({ jobId: b, second: 90, run: "m7", attempt: 5, httpStatus: 503, reason: "HTTP_STATUS" });
    const { deadExecutions } = await registry.dead.listDeadExecutions({});
    expect(deadExecutions).toMatchObject([
      {
        executionId: `${a}-100`,
        jobId: a,
        timestamp: timestampFromMs(100_003),
        reason: "TIMEOUT",
        message: "no answer in time",
        attemptCount: 2,
        scheduledTime: timestampFromMs(100_000),
      },
      { executionId: `${b}-m7`, jobId: b, reason: "HTTP_STATUS", httpStatus: 503, attemptCount: 5 },
    ]);
    expect(deadExecutions[0]?.httpStatus).toBeUndefined();
    for (const { deathTime } of deadExecutions) {
      const diedAtMs = Number(deathTime?.seconds) * 1000 + (deathTime?.nanos ?? 0) / 1e6;
      // The broker runs on this machine; the instant is given in whole milliseconds.
      expect(diedAtMs).toBeGreaterThanOrEqual(fromMs);
      expect(diedAtMs).toBeLessThanOrEqual(Date.now());
    }
  });

  it("is filtered by job, reason and the time of death, the oldest first", async () => {
    await graveyard.bury({ jobId: a, second: 80, reason: "DNS_ERROR" });
    const everything = [`${a}-100`, `${b}-m7`, `${a}-80`];
    expect(await idsOf({})).toEqual(everything);
    expect(await idsOf({ jobId: a })).toEqual([`${a}-100`, `${a}-80`]);
    expect(await idsOf({ reason: "DNS_ERROR" })).toEqual([`${a}-80`]);
    expect(await idsOf({ jobId: b, reason: "DNS_ERROR" })).toEqual([]);
    const { deadExecutions } = await registry.dead.listDeadExecutions({});
    const [first, second, third] = deadExecutions.map(({ deathTime }) => deathTime ?? expect.unreachable());
    if (!first || !second || !third) return expect.unreachable();
    // The broker stamps them in order; each was stored before the next was sent.
    const behind = (ids: string[], time: typeof first) =>
      ids.filter((_, i) => msOf(deadExecutions[i]?.deathTime) >= msOf(time));
    expect(await idsOf({ startTime: second })).toEqual(behind(everything, second));
    expect(await idsOf({ endTime: second })).toEqual(
      everything.filter((_, i) => msOf(deadExecutions[i]?.deathTime) < msOf(second)),
    );
    const later = timestampFromMs(msOf(third) + 1);
    expect(await idsOf({ startTime: later })).toEqual([]);
    expect(await idsOf({ startTime: first, endTime: later })).toEqual(everything);
    expect(await idsOf({ jobId: a, startTime: third })).toEqual(
      behind(everything, third).filter((id) => id.startsWith(a)),
    );
  });

  it("is that of the job that a key names", async () => {
    const { jobId } = await registry.jobs.createJob({ job: { ...everyHour, key: "a/b" } });
    await graveyard.bury({ jobId, second: 60 });
    expect(await idsOf({ jobId: "key=a/b" })).toEqual([`${jobId}-60`]);
    const redriven = await registry.dead.redriveExecutions({ jobId: "key=a/b" });
    expect(redriven.redrivenCount).toBe(1);
    await expect(idsOf({ jobId: "key=a" })).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    await registry.jobs.deleteJob({ jobId });
  });

  it("comes in pages, to which what dies meanwhile is added at the end", async () => {
    const page = await registry.dead.listDeadExecutions({ pageSize: 2 });
    expect(page.deadExecutions).toHaveLength(2);
    await graveyard.bury({ jobId: b, second: 70 });
    expect(await idsOf({ pageToken: page.nextPageToken })).toEqual([`${a}-80`, `${b}-70`]);
    expect(await pagesOf({ pageSize: 1 })).toEqual([[`${a}-100`], [`${b}-m7`], [`${a}-80`], [`${b}-70`]]);
    expect(await pagesOf({ pageSize: 1, jobId: a })).toEqual([[`${a}-100`], [`${a}-80`]]);
    expect(await pagesOf({ pageSize: 4 })).toHaveLength(1);
  });

  it("refuses a token of other filters, and none but its own", async () => {
    const { nextPageToken: pageToken } = await registry.dead.listDeadExecutions({ pageSize: 1 });
    for (const request of [{ jobId: a }, { reason: "TIMEOUT" }, { startTime: timestampFromMs(1) }]) {
      const refusal = registry.dead.listDeadExecutions({ ...request, pageToken });
      await expect(refusal).rejects.toMatchObject({ code: "INVALID_ARGUMENT", reason: "PAGE_TOKEN_INVALID" });
    }
    await expect(registry.dead.redriveExecutions({ pageToken })).rejects.toMatchObject({
      reason: "PAGE_TOKEN_INVALID",
      fieldViolations: [{ field: "page_token" }],
    });
  });

  it("does not know a job that there is not, unless there are letters of it", async () => {
    for (const jobId of [jobNamed("nobody"), "nobody"]) {
      const refusal = registry.dead.listDeadExecutions({ jobId });
      await expect(refusal).rejects.toMatchObject({ code: "NOT_FOUND", reason: "JOB_NOT_FOUND" });
    }
    const { jobId } = await registry.jobs.createJob({ job: everyHour });
    expect(await idsOf({ jobId })).toEqual([]);
    expect(await idsOf({ jobId: a, reason: "EXPIRED" })).toEqual([]);
  });

  it("is served over REST, with a job in the path and without", async () => {
    const rest = restClient(`http://127.0.0.1:${registry.addresses.http.port}`);
    expect((await rest.get("/dead-executions?page_size=1&reason=DNS_ERROR")).body).toMatchObject({
      dead_executions: [{ execution_id: `${a}-80`, reason: "DNS_ERROR", attempt_count: 2 }],
    });
    expect((await rest.get(`/jobs/${b}/dead-executions`)).body.dead_executions).toMatchObject([
      { execution_id: `${b}-m7`, http_status: 503 },
      { execution_id: `${b}-70` },
    ]);
    expect((await rest.get("/dead-executions?reason=NOPE")).status).toBe(400);
  });

  it("leaves out what cannot be read", async () => {
    await graveyard.broker.js.publish(subjects.dead(0, b), "no letter");
    expect(await idsOf({})).toHaveLength(4);
  });

  it("ends early where little is found, with a token to go on, and never reads all for a page", async () => {
    const many = Array.from({ length: 10_100 }, (_, i) => ({ jobId: a, second: 1_000_000 + i }));
    await graveyard.bury(...many, { jobId: b, second: 60, reason: "TLS_ERROR" });
    const pages = await pagesOf({ reason: "TLS_ERROR" });
    expect(pages).toEqual([[], [`${b}-60`]]);
    // Of its own job it is found at once.
    expect(await pagesOf({ jobId: b, reason: "TLS_ERROR" })).toEqual([[`${b}-60`]]);
    expect((await pagesOf({ jobId: a, pageSize: 1_000 })).map(({ length }) => length)).toEqual([
      ...Array.from({ length: 10 }, () => 1_000),
      102,
    ]);
    expect(await idsOf({})).toHaveLength(50);
  });

  it("begins where the span does, without a look at what died before", async () => {
    const { deadExecutions } = await registry.dead.listDeadExecutions({ jobId: b });
    const startTime = deadExecutions.at(-1)?.deathTime ?? expect.unreachable();
    expect(await pagesOf({ reason: "TLS_ERROR", startTime })).toEqual([[`${b}-60`]]);
  });

  it("is not read any further once all that are named are found", async () => {
    const answer = await registry.dead.redriveExecutions({ executionIds: [`${a}-100`, `${a}-80`] });
    // There are letters of this job, and no such job.
    expect(answer).toMatchObject({ redrivenCount: 0, skippedDeletedCount: 2, nextPageToken: "" });
  });

  it("is unavailable while the broker is away, and there again with it", async () => {
    await nats.kill();
    const refusal = eventually(
      () =>
        registry.dead.listDeadExecutions({}).then(
          () => undefined,
          (error: unknown) => error,
        ),
      (error) => error !== undefined,
    );
    expect(await refusal).toMatchObject({ code: "UNAVAILABLE", reason: "BROKER_UNAVAILABLE", retryDelayMs: 1_000 });
    await nats.restart();
    const answer = await eventually(
      () => registry.dead.listDeadExecutions({ pageSize: 1 }).catch(() => undefined),
      (found) => found !== undefined,
    );
    expect(answer?.deadExecutions).toMatchObject([{ executionId: `${a}-100` }]);
  });
});

function msOf(time: { seconds: bigint; nanos: number } | undefined): number {
  return Number(time?.seconds) * 1000 + (time?.nanos ?? 0) / 1e6;
}
