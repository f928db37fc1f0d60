import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BoundService } from "../../platform/rpc/call-context.ts";
import type { HttpFace } from "../../platform/rpc/http/http-exchange.ts";
import { readComments } from "../../platform/rpc/openapi/descriptor-comments.ts";
import { createDocsFace } from "../../platform/rpc/openapi/docs-face.ts";
import { describeOpenApi } from "../../platform/rpc/openapi/openapi.ts";

const title = "Carillon";
// The comments of the contract, as `npm run gen` writes them beside the code.
const descriptors = join(import.meta.dirname, "../../../gen/carillon.binpb");

const info = {
  title,
  version: "v1",
  description: "A job scheduler that fires HTTP calls on the second, at least once.",
};

// Rarely due: whoever tries it out leaves a job behind.
const job = { schedule: "@hourly", api_endpoint: "https://example.com/hook", type: "ATLEAST_ONCE" };
const examples = {
  "carillon.v1.JobService.CreateJob": job,
  "carillon.v1.JobService.BatchCreateJobs": { requests: [{ job }, { job: { ...job, schedule: "@daily" } }] },
  "carillon.v1.JobService.UpdateJob": { display_name: "nightly report" },
  "carillon.v1.JobService.BatchUpdateJobs": {
    requests: [{ job: { key: "billing/hourly", ...job }, update_mask: "*", allow_missing: true }],
  },
  "carillon.v1.JobService.BatchDeleteJobs": { job_ids: ["key=billing/hourly"], allow_missing: true },
  "carillon.v1.JobService.PurgeJobs": { filter: 'labels.app = "billing"', force: false },
  "carillon.v1.DeadExecutionService.RedriveExecutions": { reason: "TIMEOUT", max_count: 1 },
  "carillon.v1.JobService.PreviewSchedule": { schedule: "0 9 * * MON-FRI", time_zone: "Europe/Paris", count: 5 },
};

// What each job and execution has. Scalars always come, whatever they are.
const alwaysSet = {
  "carillon.v1.Job": ["created_at", "updated_at", "http", "retry"],
  "carillon.v1.HttpCall": ["timeout"],
  "carillon.v1.RetryPolicy": ["max_attempts", "min_backoff", "max_backoff"],
  "carillon.v1.Execution": ["timestamp", "scheduled_time"],
  "carillon.v1.Attempt": ["timestamp"],
  "carillon.v1.DeadExecution": ["timestamp", "scheduled_time", "death_time"],
};

const unbuilt = new Set(["carillon.v1.JobService.BackfillJob", "carillon.v1.ExecutionService.AuditJob"]);

/** /openapi.json and /docs of what the front door serves. Nothing is read before the first request. */
export function createApiDocs(services: readonly BoundService[], { guarded }: { guarded: boolean }): HttpFace {
  const options = { examples, alwaysSet, unbuilt, guarded };
  return createDocsFace({
    title,
    openApi: () => describeOpenApi(services, info, readComments(readFileSync(descriptors)), options),
  });
}
