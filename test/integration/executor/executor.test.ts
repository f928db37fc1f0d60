import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { HttpMethod, JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { executionIdOf } from "../../../services/domain/identity/execution-id.ts";
import { partitionOf } from "../../../services/domain/identity/partition.ts";
import { readDeadLetter } from "../../../services/wire/dead-letter.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { brief, dueEntry, type ExecutorRig, nextSecond, startExecutorRig } from "../../support/executor-rig.ts";
import { startTarget, type Target } from "../../support/target.ts";

const { SUCCESS, FAILED, SKIPPED_PAUSED, SKIPPED_SUPERSEDED } = ExecutionStatus;

describe("an executor", () => {
  let rig: ExecutorRig;
  let target: Target;
  let jobs = 0;
  const newJob = () => `017f22e2-79b0-7cc3-98c4-${(jobs++).toString(16).padStart(12, "0")}`;

  beforeAll(async () => {
    target = await startTarget();
    rig = await startExecutorRig();
    await rig.startExecutor();
  });
  afterAll(async () => {
    await rig.stop();
    await target.stop();
  });

  it("calls on the second, never before it", async () => {
    const entries = Array.from({ length: 100 }, () => dueEntry({ jobId: newJob(), url: target.url("/on-time") }));
    const second = nextSecond();
    await rig.due(second, entries);
    await target.until(() => target.arrivals("/on-time").length === 100);
    const arrivals = target.arrivals("/on-time");
    expect(Math.min(...arrivals.map((one) => one.atMs))).toBeGreaterThanOrEqual(second * 1000);
    expect(new Set(arrivals.map((one) => one.executionId)).size).toBe(100);
    const [result] = await rig.settled(entries[0]?.jobId ?? "", second);
    expect(result).toMatchObject({ attempt: 1, status: SUCCESS, final: true, httpStatus: 200, reason: "" });
    expect(Number(result?.sentAtMs)).toBeGreaterThanOrEqual(second * 1000);
  });

  it("fires what comes after its second at once", async () => {
    const jobId = newJob();
    const second = Math.floor(Date.now() / 1000) - 30;
    await rig.due(second, [dueEntry({ jobId, url: target.url("/late") })]);
    expect((await rig.settled(jobId, second)).map(brief)).toMatchObject([{ status: SUCCESS, final: true }]);
  });

  it("says in the headers which execution it is, and sends the job's call as it is defined", async () => {
    const jobId = newJob();
    const second = nextSecond(0);
    await rig.due(second, [
      dueEntry({
        jobId,
        url: target.url("/defined?a=1&b=%20"),
        method: HttpMethod.PUT,
        headers: { "X-Own": "yes", "content-type": "text/plain" },
        body: "größe",
      }),
    ]);
    await rig.settled(jobId, second);
    const [arrival] = target.arrivals("/defined");
    expect(arrival).toMatchObject({ method: "PUT", body: "größe" });
    expect(arrival?.headers).toMatchObject({
      "x-own": "yes",
      "content-type": "text/plain",
      "idempotency-key": executionIdOf(jobId, second),
      "carillon-execution-id": executionIdOf(jobId, second),
      "carillon-job-id": jobId,
      "carillon-attempt": "1",
      "carillon-scheduled-time": new Date(second * 1000).toISOString().replace(".000", ""),
      traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
      "user-agent": expect.stringMatching(/^carillon\//),
    });
  });

  it("makes two attempts at a target that answers 500, and keeps the dead letter", async () => {
    target.on("/500", { status: 500 });
    const jobId = newJob();
    const second = nextSecond(0);
    await rig.due(second, [dueEntry({ jobId, url: target.url("/500") })]);
    expect((await rig.settled(jobId, second)).map(brief)).toEqual([
      { attempt: 1, status: FAILED, final: false, httpStatus: 500, reason: "HTTP_STATUS" },
      { attempt: 2, status: FAILED, final: true, httpStatus: 500, reason: "HTTP_STATUS" },
    ]);
    const [first, again] = target.arrivals("/500");
    expect([first?.attempt, again?.attempt]).toEqual([1, 2]);
    expect(again?.headers["idempotency-key"]).toBe(first?.headers["idempotency-key"]);
    const dead = await rig.broker.jsm.streams.getMessage(streams.dead, {
      last_by_subj: subjects.dead(partitionOf(jobId), jobId),
    });
    expect(readDeadLetter(dead.data)).toMatchObject({ result: { attempt: 2, httpStatus: 500 } });
  });

  it("makes one attempt when one is all there are", async () => {
    target.on("/once", { status: 503 });
    const jobId = newJob();
    const second = nextSecond(0);
    await rig.due(second, [dueEntry({ jobId, url: target.url("/once"), maxAttempts: 1 })]);
    expect((await rig.settled(jobId, second)).map(brief)).toEqual([
      { attempt: 1, status: FAILED, final: true, httpStatus: 503, reason: "HTTP_STATUS" },
    ]);
  });

  it("ends an execution with the attempt that succeeds", async () => {
    target.on("/second-time", (arrival) => ({ status: arrival.attempt === 1 ? 502 : 201 }));
    const jobId = newJob();
    const second = nextSecond(0);
    await rig.due(second, [dueEntry({ jobId, url: target.url("/second-time"), maxAttempts: 5 })]);
    expect((await rig.settled(jobId, second)).map(brief)).toEqual([
      { attempt: 1, status: FAILED, final: false, httpStatus: 502, reason: "HTTP_STATUS" },
      { attempt: 2, status: SUCCESS, final: true, httpStatus: 201, reason: "" },
    ]);
  });

  it("waits at least as long as Retry-After asks", async () => {
    target.on("/retry-after", (arrival) =>
      arrival.attempt === 1 ? { status: 429, headers: { "Retry-After": "1" } } : {},
    );
    const jobId = newJob();
    const second = nextSecond(0);
    await rig.due(second, [dueEntry({ jobId, url: target.url("/retry-after") })]);
    const [failed, last] = await rig.settled(jobId, second);
    const [first, again] = target.arrivals("/retry-after");
    expect((again?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(1_000);
    // Its result says when.
    expect(Number(failed?.retryAtMs)).toBeGreaterThanOrEqual((first?.atMs ?? 0) + 1_000);
    expect(Number(failed?.retryAtMs)).toBeLessThanOrEqual(again?.atMs ?? 0);
    expect(last?.retryAtMs).toBe(0n);
  });

  it("tells a refused connection, a timeout, a reset, an unknown name and a redirect apart", async () => {
    target.on("/hang", { hang: true });
    target.on("/stall", { stall: true });
    target.on("/close", { close: true });
    target.on("/redirect", { status: 302, headers: { Location: "/" } });
    const cases = [
      [{ url: "http://127.0.0.1:9/" }, { reason: "CONNECTION_REFUSED", message: "connection refused by 127.0.0.1:9" }],
      [
        { url: target.url("/hang"), timeoutMs: 200 },
        { reason: "TIMEOUT", message: "no answer within 200 ms" },
      ],
      [{ url: target.url("/stall"), timeoutMs: 200 }, { reason: "TIMEOUT" }],
      [{ url: target.url("/close") }, { reason: "CONNECTION_RESET" }],
      [{ url: "http://nowhere.invalid/" }, { reason: "DNS_ERROR" }],
      [{ url: target.origin.replace("http:", "https:") }, { reason: "TLS_ERROR" }],
      [{ url: "http://169.254.169.254/latest" }, { reason: "NETWORK_ERROR" }],
      [{ url: "http://[::ffff:169.254.169.254]/" }, { reason: "NETWORK_ERROR" }],
    ] as const;
    const second = nextSecond(0);
    const entries = cases.map(([fields]) => dueEntry({ jobId: newJob(), maxAttempts: 1, ...fields }));
    const redirected = dueEntry({ jobId: newJob(), maxAttempts: 1, url: target.url("/redirect") });
    await rig.due(second, [...entries, redirected]);
    for (const [i, [, expected]] of cases.entries()) {
      const [result] = await rig.settled(entries[i]?.jobId ?? "", second);
      expect(result, entries[i]?.url).toMatchObject({ status: FAILED, final: true, httpStatus: 0, ...expected });
    }
    const [result] = await rig.settled(redirected.jobId, second);
    expect(result).toMatchObject({ status: FAILED, httpStatus: 302, reason: "HTTP_STATUS" });
  });

  it("lets the status decide, however long the answer is", async () => {
    target.on("/big", { body: Buffer.alloc(8 * 1024 * 1024) });
    const jobId = newJob();
    const second = nextSecond(0);
    await rig.due(second, [dueEntry({ jobId, url: target.url("/big") })]);
    expect((await rig.settled(jobId, second)).map(brief)).toMatchObject([{ status: SUCCESS, httpStatus: 200 }]);
  });

  it("does not let a target that hangs hold up another", async () => {
    const slow = await startTarget();
    const answers = Promise.withResolvers<void>();
    slow.on("/", { after: answers.promise });
    const second = nextSecond();
    const hanging = Array.from({ length: 300 }, () => dueEntry({ jobId: newJob(), url: slow.url("/") }));
    const quick = dueEntry({ jobId: newJob(), url: target.url("/quick") });
    for (let i = 0; i < 300; i += 100) await rig.due(second, hanging.slice(i, i + 100));
    await rig.due(second, [quick]);
    await rig.settled(quick.jobId, second);
    answers.resolve();
    for (const entry of hanging) await rig.settled(entry.jobId, second);
    await slow.stop();
  });

  it("skips what was paused, deleted or rescheduled since, and fires the newest target", async () => {
    const [paused, deleted, changed, moved, manual] = [newJob(), newJob(), newJob(), newJob(), newJob()];
    const url = target.url("/stale");
    const second = nextSecond(1_500);
    const manualId = `${manual}-mabc`;
    await rig.due(second, [
      ...[paused, deleted, changed, moved].map((jobId) => dueEntry({ jobId, url })),
      dueEntry({ jobId: manual, url: target.url("/manual"), executionId: manualId, trigger: ExecutionTrigger.MANUAL }),
    ]);
    await rig.change(paused, { generation: 2, timingGeneration: 2, state: JobState.PAUSED });
    await rig.change(manual, { generation: 2, timingGeneration: 2, state: JobState.PAUSED });
    await rig.change(deleted, { generation: 2, timingGeneration: 2, deleted: true });
    await rig.change(changed, { generation: 2, timingGeneration: 2 });
    await rig.change(moved, { generation: 2, url: target.url("/moved") });
    const outcome = async (jobId: string) => (await rig.settled(jobId, second)).map(brief);
    expect(await outcome(paused)).toMatchObject([{ attempt: 0, status: SKIPPED_PAUSED, reason: "JOB_PAUSED" }]);
    expect(await outcome(deleted)).toMatchObject([{ status: SKIPPED_PAUSED, reason: "JOB_DELETED" }]);
    expect(await outcome(changed)).toMatchObject([{ status: SKIPPED_SUPERSEDED, reason: "JOB_CHANGED" }]);
    expect(await outcome(moved)).toMatchObject([{ status: SUCCESS }]);
    await rig.until((results) => results.some((one) => one.executionId === manualId && one.status === SUCCESS));
    expect(target.arrivals("/stale")).toEqual([]);
    expect(target.arrivals("/moved").map((one) => one.executionId)).toEqual([executionIdOf(moved, second)]);
  });

  it("goes on past a change that cannot be read, with the job that it is of and with all others", async () => {
    const [poisoned, other] = [newJob(), newJob()];
    const second = nextSecond(1_500);
    await rig.due(
      second,
      [poisoned, other].map((jobId) => dueEntry({ jobId, url: target.url("/poison") })),
    );
    // Of a foreign id, cut short, and none at all.
    for (const hex of ["0a036162631005", "0a24303137661005", "ffffffff"]) {
      await rig.publisher.publish(subjects.job(partitionOf(poisoned), poisoned), Buffer.from(hex, "hex"));
    }
    for (const jobId of [poisoned, other]) {
      expect((await rig.settled(jobId, second)).map(brief)).toMatchObject([{ status: SUCCESS }]);
    }
    const next = nextSecond(0);
    await rig.due(next, [dueEntry({ jobId: other, url: target.url("/poison") })]);
    expect((await rig.settled(other, next)).map(brief)).toMatchObject([{ status: SUCCESS }]);
  });

  it("fires what was due before a change of its schedule, however late it comes", async () => {
    const jobId = newJob();
    const second = nextSecond() - 5;
    const effectiveFromMs = (second + 1) * 1_000;
    await rig.change(jobId, { generation: 2, timingGeneration: 2, effectiveFromMs, url: target.url("/owed") });
    await rig.due(second, [dueEntry({ jobId, url: target.url("/owed") })]);
    await rig.due(second + 2, [dueEntry({ jobId, url: target.url("/owed") })]);
    expect((await rig.settled(jobId, second)).map(brief)).toMatchObject([{ status: SUCCESS }]);
    expect((await rig.settled(jobId, second + 2)).map(brief)).toMatchObject([{ status: SKIPPED_SUPERSEDED }]);
  });

  it("asks history about a batch that may repeat, and fires only what is not recorded", async () => {
    const [done, open] = [newJob(), newJob()];
    const second = nextSecond(0);
    rig.recorded.add(executionIdOf(done, second));
    await rig.due(
      second,
      [done, open].map((jobId) => dueEntry({ jobId, url: target.url("/repeat") })),
      {
        mayRepeat: true,
      },
    );
    await rig.settled(open, second);
    await rig.drained();
    expect(target.arrivals("/repeat").map((one) => one.executionId)).toEqual([executionIdOf(open, second)]);
  });

  it("acknowledges every message once its occurrences are settled", async () => {
    await rig.drained();
  });
});
