import { setTimeout as sleep } from "node:timers/promises";
import type { Usage } from "./procfs.ts";
import type { Rig } from "./rig.ts";

export interface LatenessResult {
  perSecond: number;
  seconds: number;
  missed: number;
  repeated: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** Of each process, over the measured span. */
  cpuUsPerExecution: Record<string, number>;
  rssMb: Record<string, number>;
}

const nowSecond = () => Math.floor(Date.now() / 1000);
const everySecond = "* * * * * *";
// From the last create until each of the jobs is in the timetable: the relay publishes some thousands a second.
const settleTimeoutMs = 60_000;
// A rate is sustained when each second's occurrences have arrived this long after it at the latest.
const keepUpMs = 2_000;
const relayPollMs = 20;
const backlogPollMs = 4_000;
const workOffTimeoutMs = 180_000;

/** Waits until a whole second's occurrences of so many jobs have arrived. */
async function settled(rig: Rig, jobs: number): Promise<void> {
  const deadline = Date.now() + settleTimeoutMs;
  while (Date.now() < deadline) {
    await sleep(1_000);
    const { bySecond } = await rig.report(nowSecond() - 3, nowSecond() - 1);
    if (bySecond.some(([, count]) => count >= jobs)) return;
  }
}

/** Lets so many jobs, which stand already and are due each second, fire for a span, and looks at each occurrence. */
async function measureSpan(rig: Rig, jobs: number, seconds: number): Promise<LatenessResult> {
  await settled(rig, jobs);
  rig.forget();
  const from = nowSecond() + 2;
  await sleep(from * 1000 - Date.now() - 500);
  const before = rig.usage();
  const to = from + seconds - 1;
  await sleep(to * 1000 + 500 - Date.now());
  const after = rig.usage();
  await sleep(to * 1000 + keepUpMs - Date.now());
  const report = await rig.report(from, to);
  const arrived = report.bySecond.reduce((sum, [, count]) => sum + count, 0);
  return {
    perSecond: jobs,
    seconds,
    missed: jobs * seconds - arrived,
    repeated: report.repeats,
    p50Ms: round(report.lateness.p50),
    p99Ms: round(report.lateness.p99),
    maxMs: round(report.lateness.max),
    cpuUsPerExecution: cpuUsEach(before, after, jobs * seconds),
    rssMb: Object.fromEntries(
      Object.entries(after).map(([name, usage]) => [name, Math.round(usage.rssBytes / 2 ** 20)]),
    ),
  };
}

function cpuUsEach(
  before: Record<string, Usage>,
  after: Record<string, Usage>,
  executions: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([name, usage]) => [
      name,
      round(((usage.cpuMs - (before[name]?.cpuMs ?? 0)) * 1000) / executions),
    ]),
  );
}

/** Lateness at a rate: so many jobs due each second, all on the second's boundary. */
export async function measureLateness(rig: Rig, perSecond: number, seconds: number): Promise<LatenessResult> {
  const jobs = await rig.createJobs(perSecond, everySecond);
  const result = await measureSpan(rig, perSecond, seconds);
  await rig.deleteJobs(jobs);
  return result;
}

export interface BurstResult {
  occurrences: number;
  arrived: number;
  /** From the second to the arrival of the last POST. */
  lastPostMs: number;
}

/** So many one-shot jobs, all on one second. */
export async function measureBurst(rig: Rig, occurrences: number): Promise<BurstResult> {
  rig.forget();
  // Creating and relaying come first: they are not what is measured here.
  const second = nowSecond() + 10 + Math.ceil(occurrences / 1_500);
  await rig.createJobs(occurrences, `@at ${new Date(second * 1000).toISOString().replace(".000Z", "Z")}`);
  await sleep(second * 1000 - Date.now());
  const deadline = Date.now() + 60_000;
  for (;;) {
    await sleep(1_000);
    const report = await rig.report(second, second);
    const arrived = report.bySecond[0]?.[1] ?? 0;
    if (arrived >= occurrences || Date.now() > deadline) {
      return { occurrences, arrived, lastPostMs: round(report.lastArrivalMs - second * 1000) };
    }
  }
}

export interface CreatesResult {
  createsPerSecond: number;
  /** How long after the last create every job has reached the broker. */
  relayedAfterMs: number;
  /** Of each process, until then. */
  cpuUsPerCreate: Record<string, number>;
}

/** Creates by so many callers at once. `create` answers how many it made; they are due in a far year. */
export async function measureCreates(
  rig: Rig,
  seconds: number,
  callers: number,
  create: () => Promise<number>,
): Promise<CreatesResult> {
  const before = rig.usage();
  const start = performance.now();
  let created = 0;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() - start < seconds * 1000) {
        // Not `created += await …`: that reads the sum before it waits, and loses what others add meanwhile.
        const count = await create();
        created += count;
      }
    }),
  );
  const end = performance.now();
  while ((await rig.outboxDepth()) > 0) await sleep(relayPollMs);
  return {
    createsPerSecond: Math.round((created * 1000) / (end - start)),
    relayedAfterMs: Math.round(performance.now() - end),
    cpuUsPerCreate: cpuUsEach(before, rig.usage(), created),
  };
}

/**
 * The highest rate at which nothing is missed: found by adding jobs in steps, and
 * then held for a longer span. What a rate that was too high left behind is
 * worked off before the next one is tried: it is not that one's fault.
 */
export async function findSustained(
  rig: Rig,
  options: {
    from: number;
    step: number;
    to: number;
    probeSeconds: number;
    holdSeconds: number;
    log: (line: string) => void;
  },
): Promise<LatenessResult | undefined> {
  const jobs: string[] = await rig.createJobs(options.from, everySecond);
  const missedAt = async (seconds: number) => {
    const result = await measureSpan(rig, jobs.length, seconds);
    options.log(`  ${jobs.length}/s for ${seconds} s: missed ${result.missed}, p99 ${result.p99Ms} ms`);
    return result;
  };
  let result = await missedAt(options.probeSeconds);
  while (result.missed === 0 && jobs.length + options.step <= options.to) {
    jobs.push(...(await rig.createJobs(options.step, everySecond)));
    result = await missedAt(options.probeSeconds);
  }
  let rate = result.missed === 0 ? jobs.length : jobs.length - options.step;
  for (; rate > 0; rate -= options.step) {
    await rig.deleteJobs(jobs.splice(0));
    await workedOff(rig);
    jobs.push(...(await rig.createJobs(rate, everySecond)));
    result = await missedAt(options.holdSeconds);
    if (result.missed === 0) break;
  }
  await rig.deleteJobs(jobs);
  return rate > 0 ? result : undefined;
}

/** Waits until no due batch is left. */
async function workedOff(rig: Rig): Promise<void> {
  const deadline = Date.now() + workOffTimeoutMs;
  // The gauge is some seconds old: twice in a row means it.
  for (let empty = 0; empty < 2 && Date.now() < deadline; ) {
    await sleep(backlogPollMs);
    empty = (await rig.backlog("DUE")) === 0 ? empty + 1 : 0;
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
