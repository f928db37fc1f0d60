/** The subjects of the design's stream table; each is built and taken apart here and nowhere else. */
export const subjects = {
  job: (partition: number, jobId: string) => `carillon.jobs.${partition}.${jobId}`,
  jobsOfPartition: (partition: number) => `carillon.jobs.${partition}.*`,
  jobs: "carillon.jobs.*.*",
  due: (partition: number) => `carillon.due.${partition}`,
  retry: (partition: number) => `carillon.retry.${partition}`,
  /** One lane: an executor's batches stay whole. */
  results: "carillon.results.0",
  dead: (partition: number) => `carillon.dead.${partition}`,
  tick: (ticker: string) => `carillon.ticks.${ticker}`,
  ticks: "carillon.ticks.*",
  claim: (partition: number) => `$KV.carillon_partitions.${partition}`,
  claims: "$KV.carillon_partitions.*",
} as const;

/** The partition that a subject of jobs, due messages, retries or claims names: its third token. */
export function partitionOfSubject(subject: string): number {
  return Number(subject.split(".")[2]);
}

/** The job that a subject of JOBS names. */
export function jobIdOfSubject(subject: string): string {
  return subject.split(".")[3] ?? "";
}
