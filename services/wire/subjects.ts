/** The subjects of the design's stream table; each is built here and nowhere else. */
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
