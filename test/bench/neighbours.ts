import { fork } from "node:child_process";
import { once } from "node:events";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type DueEntry, DueEntrySchema } from "../../gen/carillon/v1/events_pb.ts";
import { HttpMethod, type JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { executionIdOf } from "../../services/domain/identity/execution-id.ts";
import { createBroker } from "../../services/platform/jetstream/broker.ts";
import { createPublisher } from "../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { createLog } from "../../services/platform/process/log.ts";
import { writeDueEntry } from "../../services/wire/due-entry.ts";
import { retryBatchId, writeRetryBatch } from "../../services/wire/retry-batch.ts";
import { subjects } from "../../services/wire/subjects.ts";
import { jobNamed } from "../support/job-ids.ts";
import type { BadPorts } from "./bad-target-process.ts";
import { loopbackUrl, type Rig, startRig } from "./rig.ts";

export interface NeighbourResult {
  neighbour: string;
  seconds: number;
  /** Of the healthy occurrences, while the neighbour was there. */
  missed: number;
  repeated: number;
  p50Ms: number;
  p99Ms: number;
  /** The p99 beside that of the run without a neighbour just before. */
  p99Ratio: number;
  /** Of the seconds' own p99 the median, and the same ratio: one pause of the machine in a minute is not in it. */
  secondP99Ms: number;
  secondP99Ratio: number;
  /** The p99 of the first five seconds, while its jobs are taken up. */
  onsetP99Ms: number;
  maxMs: number;
  /** In the ten to twenty seconds after the neighbour was gone. */
  p99MsAfter: number;
  diskMb: number;
  /** The most that was seen of each process. */
  rssMb: Record<string, number>;
}

/** The jobs of a neighbour. */
export type NeighbourJobs = {
  count: number;
  schedule: string;
  define: (index: number) => MessageInitShape<typeof JobSchema>;
};
/** Jobs that a neighbour has, or what else it does to the system. */
type Neighbour = (ports: BadPorts) => NeighbourJobs | ((rig: Rig) => Promise<void>);

const everySecond = "* * * * * *";
const healthyJobs = 500;
const healthyOrigins = 50;
const baselineSeconds = 40;
const onsetSeconds = 5;
const goneSeconds = 10;
// Beyond what is measured: an occurrence that comes later than this counts as missed.
const patienceMs = 2_000;
const overdueRetries = 1_500_000;

const all = (url: string, fields: MessageInitShape<typeof JobSchema> = {}) => ({ apiEndpoint: url, ...fields });
const seconds = (count: number) => ({ seconds: BigInt(count) });

export const neighbours: Readonly<Record<string, Neighbour>> = {
  "silent-names": () => ({
    count: 100,
    schedule: everySecond,
    define: (i) => all(`http://n${i}.silent.test/hook`),
  }),
  "hanging-origin": ({ hanging }) => ({
    count: 2_000,
    schedule: everySecond,
    define: () => all(loopbackUrl(0, hanging)),
  }),
  "hanging-origins": ({ hanging }) => ({
    count: 1_200 * 8,
    schedule: "*/20 * * * * *",
    define: (i) => all(loopbackUrl(i % 1_200, hanging), { http: { timeout: seconds(1_800) } }),
  }),
  "refused-once": ({ refused }) => ({
    count: 5_000,
    schedule: everySecond,
    define: () => all(`http://127.0.0.1:${refused}/`, { retry: { maxAttempts: 1 } }),
  }),
  "refused-thrice": ({ refused }) => ({
    count: 5_000,
    schedule: everySecond,
    define: () => all(`http://127.0.0.1:${refused}/`, { retry: { maxAttempts: 3 } }),
  }),
  unavailable: ({ unavailable }) => ({
    count: 2_000,
    schedule: everySecond,
    define: () => all(loopbackUrl(0, unavailable), { retry: { maxAttempts: 3 } }),
  }),
  "large-bodies": ({ refused }) => ({
    count: 40,
    schedule: everySecond,
    define: () => all(`http://127.0.0.1:${refused}/`, { http: { body: "x".repeat(128 * 1024) } }),
  }),
  "overdue-retries": ({ hanging }) => publishOverdueRetries(loopbackUrl(0, hanging)),
  endless: ({ endless }) => ({ count: 200, schedule: everySecond, define: () => all(loopbackUrl(0, endless)) }),
  trickling: ({ trickling }) => ({ count: 200, schedule: everySecond, define: () => all(loopbackUrl(0, trickling)) }),
  "shared-host": ({ shared }) => ({
    count: 10_000,
    schedule: "H/20 * * * * *",
    define: (i) => all(`http://127.0.0.1:${shared}/${i % 100 === 0 ? "hang" : "hook"}`),
  }),
};

function publishOverdueRetries(url: string): (rig: Rig) => Promise<void> {
  return async ({ system }) => {
    const deps = { clock: systemClock, log: createLog("bench", "error") };
    const broker = createBroker({ url: system.addresses.natsUrl, name: "bench" }, deps);
    await broker.start();
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    const jobId = jobNamed("late");
    const due: DueEntry = create(DueEntrySchema, {
      jobId,
      generation: 1,
      url,
      method: HttpMethod.POST,
      maxAttempts: 2,
    });
    const entry = writeDueEntry({ ...due, timeoutMs: 30_000, expireAfterS: 86_400 });
    const second = Math.floor(Date.now() / 1000) - 3_600;
    const perMessage = 100;
    const published: Promise<unknown>[] = [];
    for (let i = 0; i < overdueRetries; i += perMessage) {
      const entries = Array.from({ length: perMessage }, (_, at) => {
        const when = second - i - at;
        const executionId = executionIdOf(jobId, when);
        return { entry, executionId, second: when, attempt: 2, notBeforeMs: when * 1000, redrive: undefined };
      });
      published.push(
        publisher.publish(subjects.retry(0), writeRetryBatch(entries), { messageId: retryBatchId([String(i)]) }),
      );
      if (published.length % 500 === 0) await Promise.all(published);
    }
    await Promise.all(published);
    await publisher.stop();
    await broker.stop();
  };
}

/** What bad neighbours take from 500 healthy executions a second on 50 origins. Each has a system of its own. */
export async function measureNeighbours(
  names: readonly string[],
  span: number,
  log: (line: string) => void,
  onResult: (result: NeighbourResult) => void,
): Promise<void> {
  const bad = fork(new URL("./bad-target-process.ts", import.meta.url), { stdio: "inherit" });
  const [ports] = (await once(bad, "message")) as [BadPorts];
  for (const name of names) {
    const neighbour = neighbours[name];
    if (!neighbour) throw new Error(`--neighbour: expected one of ${Object.keys(neighbours).join(", ")}, got ${name}`);
    log(`${name}, for ${span} s`);
    const rig = await startRig({ CARILLON_NAME_SERVERS: `127.0.0.1:${ports.names}` });
    try {
      const result = await measure(rig, neighbour(ports), span);
      onResult({ neighbour: name, ...result });
    } finally {
      await rig.stop();
    }
  }
  bad.disconnect();
}

async function measure(
  rig: Rig,
  does: ReturnType<Neighbour>,
  span: number,
): Promise<Omit<NeighbourResult, "neighbour">> {
  await rig.createJobs(healthyJobs, everySecond, (i) => ({ apiEndpoint: rig.url(i % healthyOrigins) }));
  await sleep(5_000);
  const before = await lookAt(rig, baselineSeconds);
  const jobs = typeof does === "function" ? [] : await rig.createJobs(does.count, does.schedule, does.define);
  if (typeof does === "function") void does(rig);
  const onset = await lookAt(rig, onsetSeconds);
  const during = await lookAt(rig, span);
  const diskMb = Math.round((await bytesIn(rig.system.dataDir)) / 2 ** 20);
  await rig.deleteJobs(jobs);
  await sleep(goneSeconds * 1_000);
  const after = await lookAt(rig, goneSeconds);
  return {
    seconds: span,
    missed: onset.missed + during.missed + after.missed,
    repeated: onset.repeated + during.repeated,
    p50Ms: during.p50Ms,
    p99Ms: during.p99Ms,
    p99Ratio: ratio(during.p99Ms, before.p99Ms),
    secondP99Ms: during.secondP99Ms,
    secondP99Ratio: ratio(during.secondP99Ms, before.secondP99Ms),
    onsetP99Ms: onset.p99Ms,
    maxMs: during.maxMs,
    p99MsAfter: after.p99Ms,
    diskMb,
    rssMb: during.rssMb,
  };
}

async function lookAt(rig: Rig, span: number) {
  const from = Math.floor(Date.now() / 1000) + 1;
  const to = from + span - 1;
  const rssMb: Record<string, number> = {};
  while (Date.now() < to * 1000 + patienceMs) {
    for (const [process, { rssBytes }] of Object.entries(rig.usage())) {
      rssMb[process] = Math.max(rssMb[process] ?? 0, Math.round(rssBytes / 2 ** 20));
    }
    await sleep(500);
  }
  const report = await rig.report(from, to);
  const arrived = report.bySecond.reduce((sum, [, count]) => sum + count, 0);
  const { p50, p99, max } = report.lateness;
  rig.forget();
  return {
    missed: healthyJobs * span - arrived,
    repeated: report.repeats,
    p50Ms: Math.round(p50),
    p99Ms: Math.round(p99),
    secondP99Ms: Math.round(median(report.secondsP99Ms)),
    maxMs: Math.round(max),
    rssMb,
  };
}

function ratio(one: number, other: number): number {
  return Math.round((one / other) * 100) / 100;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function bytesIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => stat(join(entry.parentPath, entry.name)).catch(() => undefined)),
  );
  return sizes.reduce((sum, one) => sum + (one?.blocks ?? 0) * 512, 0);
}
