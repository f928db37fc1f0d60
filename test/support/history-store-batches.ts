import { ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
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
