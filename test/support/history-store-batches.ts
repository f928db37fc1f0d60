import { ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import type { HistoryStore } from "../../services/history/store/contract.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import { failed, noon, resultOf } from "./history-results.ts";
import { jobNamed, jobsNamed } from "./job-ids.ts";

export const jobsOfBatch = jobsNamed("j", 40);
/** Their first attempts fail; the second ones come with the next batch. */
export const retriedJobs = jobsOfBatch.slice(0, 10);

/** What a writer records with its call of that number: new executions, a manual run, and changes of the call before. */
export function batchOf(call: number): AttemptResult[] {
  const second = noon + call;
  const firsts = jobsOfBatch.map((jobId) =>
    retriedJobs.includes(jobId) ? failed({ jobId, second, final: false }) : resultOf({ jobId, second }),
  );
  const retries = retriedJobs.map((jobId) => resultOf({ jobId, second: second - 1, attempt: 2 }));
  const manual = resultOf({ jobId: jobNamed("j0039"), second, run: `m${call}`, trigger: ExecutionTrigger.MANUAL });
  return [...firsts, manual, ...(call === 0 ? [] : retries)];
}

/** The executions of so many calls are young enough to be kept. */
export const youngCalls = 20;
/** By the number of the call that deletes it; some of them have retries, and results come on for all. */
const deletions = new Map(jobsOfBatch.slice(5, 25).map((jobId, i) => [5 + 2 * i, jobId]));
export const everDeleted: ReadonlySet<string> = new Set(deletions.values());
const stepsPerCall = 4;

/** Deletes a job at times, and forgets a little. */
export async function tidyAfter(store: HistoryStore, call: number): Promise<void> {
  const jobId = deletions.get(call);
  const jobs = jobId === undefined ? [] : [{ jobId, deleted: true, second: noon + call }];
  await store.noteJobs(jobs, { stream: "jobs", sequence: call + 1 });
  for (let step = 0; step < stepsPerCall; step++) await store.forget(noon + call - youngCalls);
}
