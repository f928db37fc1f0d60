import type { DemoTarget } from "../demo-target.ts";
import { describeExecution, readEvents, type WatchedExecution } from "../demo-watch.ts";

/** A call of the REST API. Rejects when nobody answers. */
export type DemoApi = (method: "GET" | "POST" | "DELETE", path: string, body?: unknown) => Promise<Response>;

const labels = { "carillon-demo": "cluster" } as const;

/** Its id. Rejects with what the API says. */
export async function createDemoJob(api: DemoApi, url: string): Promise<string> {
  const job = { display_name: "demo", labels, schedule: "*/5 * * * * *", api_endpoint: url, type: "ATLEAST_ONCE" };
  const { job_id: jobId } = (await answerOf(api("POST", "/jobs", job))) as { job_id: string };
  return jobId;
}

/** Those of them that are on the first page: it is a demo. */
export async function deleteDemoJobs(api: DemoApi): Promise<void> {
  const { jobs = [] } = (await answerOf(api("GET", "/jobs?page_size=1000"))) as {
    jobs?: { job_id: string; labels?: Record<string, string> }[];
  };
  for (const job of jobs) {
    if (job.labels?.["carillon-demo"] === labels["carillon-demo"]) await answerOf(api("DELETE", `/jobs/${job.job_id}`));
  }
}

/** Says each execution as it ends, until the stream does; tells whether the job is still there. */
export async function watchDemoJob(
  api: DemoApi,
  jobId: string,
  target: DemoTarget,
  say: (line: string) => void,
): Promise<boolean> {
  const watch = await api("GET", `/jobs/${jobId}/executions:watch`);
  if (watch.status === 404) return false;
  if (!watch.ok || !watch.body) throw new Error(`watching the job failed: ${watch.status} ${await watch.text()}`);
  for await (const event of readEvents(watch.body)) {
    const execution = event as WatchedExecution;
    say(describeExecution(execution, target.takeArrivalMs(execution.execution_id)));
  }
  return true;
}

async function answerOf(call: Promise<Response>): Promise<unknown> {
  const answer = await call;
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}
