import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ExecutionService } from "../../gen/carillon/v1/execution_pb.ts";
import { JobService, JobType } from "../../gen/carillon/v1/job_pb.ts";

// Runs in a browser, on a page of another origin than the front door's.

interface Asked {
  baseUrl: string;
  token: string;
}

/** What a page learns of one call that succeeds, one that is refused, and a stream. */
async function overTransport(kind: "connect" | "grpc-web", { baseUrl, token }: Asked) {
  const options = {
    baseUrl,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ] satisfies Parameters<typeof createConnectTransport>[0]["interceptors"],
  };
  const transport = kind === "connect" ? createConnectTransport(options) : createGrpcWebTransport(options);
  const jobs = createClient(JobService, transport);
  const job = { schedule: "@hourly", apiEndpoint: "https://example.com/", type: JobType.ATLEAST_ONCE };
  const { jobId } = await jobs.createJob({ job }, { timeoutMs: 10_000 });
  return {
    jobId,
    refused: await refusalOf(jobs),
    streamed: await firstOf(createClient(ExecutionService, transport), jobId),
  };
}

async function refusalOf(jobs: Client<typeof JobService>): Promise<string> {
  try {
    await jobs.getJob({ jobId: "nope" });
    return "it was answered";
  } catch (error) {
    const { code, details } = ConnectError.from(error);
    return `${Code[code]} with ${details.length} details`;
  }
}

async function firstOf(executions: Client<typeof ExecutionService>, jobId: string): Promise<string> {
  for await (const { resumeToken } of executions.watchExecutions({ jobId, bookmarks: true })) return typeof resumeToken;
  return "nothing";
}

async function overRest({ baseUrl, token }: Asked) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const body = JSON.stringify({ schedule: "@hourly", api_endpoint: "https://example.com/", type: "ATLEAST_ONCE" });
  const created = await fetch(`${baseUrl}/jobs`, { method: "POST", headers, body });
  const etag = created.headers.get("etag") ?? "it cannot be read";
  const { job_id: jobId } = (await created.json()) as { job_id: string };
  const guarded = { ...headers, "if-match": etag };
  const change = { method: "PATCH", headers: guarded, body: '{"display_name":"x"}' };
  const changed = await fetch(`${baseUrl}/jobs/${jobId}`, change);
  const again = await fetch(`${baseUrl}/jobs/${jobId}`, change);
  return [created.status, changed.status, again.status];
}

Object.assign(globalThis, { overTransport, overRest });
