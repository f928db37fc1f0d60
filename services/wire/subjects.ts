// Subjects are written here, and taken apart here, and nowhere else.

const claimsBucket = "carillon_partitions";

/** What each stream takes in. */
export const subjectsOfStream = {
  jobs: "carillon.jobs.*.*",
  due: "carillon.due.*",
  retry: "carillon.retry.*",
  lanes: "carillon.lanes.*",
  running: "carillon.running.*",
  results: "carillon.results.*",
  dead: "carillon.dead.*.*",
  ticks: "carillon.ticks.*",
  /** As a NATS KV bucket has it. */
  claims: `$KV.${claimsBucket}.>`,
} as const;

/** What is published on, and followed. */
export const subjects = {
  job: (partition: number, jobId: string) => `carillon.jobs.${partition}.${jobId}`,
  jobsOfPartition: (partition: number) => `carillon.jobs.${partition}.*`,
  jobs: subjectsOfStream.jobs,
  due: (partition: number) => `carillon.due.${partition}`,
  retry: (partition: number) => `carillon.retry.${partition}`,
  lane: (lane: string) => `carillon.lanes.${lane}`,
  /** `run`: one start of one executor. */
  running: (run: string) => `carillon.running.${run}`,
  executorBeat: (run: string) => `carillon.executors.${run}`,
  executorBeats: "carillon.executors.*",
  /** Each executor answers what it has on the wire. */
  callsQuestion: "carillon.calls",
  /** One lane: an executor's batches stay whole. */
  results: "carillon.results.0",
  dead: (partition: number, jobId: string) => `carillon.dead.${partition}.${jobId}`,
  tick: (ticker: string) => `carillon.ticks.${ticker}`,
  ticks: subjectsOfStream.ticks,
  tickerPresence: (ticker: string) => `carillon.tickers.${ticker}`,
  claim: (partition: number) => `$KV.${claimsBucket}.${partition}`,
  claims: `$KV.${claimsBucket}.*`,
} as const;

/** The partition that a subject of jobs, due messages, retries or claims names: its third token. */
export function partitionOfSubject(subject: string): number {
  return Number(subject.split(".")[2]);
}

/** The lane, or the run of an executor, that a subject names: its last token. */
export function lastTokenOfSubject(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}

/** The job that a subject of JOBS names. */
export function jobIdOfSubject(subject: string): string {
  return subject.split(".")[3] ?? "";
}

/** Where the broker is asked for the last message of a stream's subject. Any replica answers (NATS: direct get). */
export function lastMessageOf(stream: string, subject: string): string {
  return `$JS.API.DIRECT.GET.${stream}.${subject}`;
}
