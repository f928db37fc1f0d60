import { sleep, systemClock } from "../../../platform/process/clock.ts";
import { configOrExit } from "../../../platform/process/config-or-exit.ts";
import { ConfigError, readEnvironment } from "../../../platform/process/environment.ts";
import { exitCodes } from "../../../platform/process/exit-codes.ts";
import { startDemoTarget } from "../demo-target.ts";
import { createDemoJob, type DemoApi, deleteDemoJobs, watchDemoJob } from "./demo-job.ts";

// `docker compose --profile demo up`: a target, a job that fires at it every five seconds, and its executions as they happen.
// node services/launcher/demo/cluster/main.ts <the registry's URL> <this host's name> <port>

const againMs = 1_000;

const { registryUrl, host, port, token } = configOrExit("demo", () => {
  const [url = "", name = "", portText = ""] = process.argv.slice(2);
  if (!/^https?:/.test(url) || !URL.canParse(url) || name === "" || !/^\d{1,5}$/.test(portText))
    throw new ConfigError(["expected three arguments: the registry's URL, this host's name, a port"]);
  const read = readEnvironment(process.env);
  const [first] = read.list("CARILLON_API_TOKENS");
  read.done();
  return { registryUrl: url.replace(/\/$/, ""), host: name, port: Number(portText), token: first };
});
const stopping = new AbortController();
const api: DemoApi = async (method, path, body) =>
  fetch(`${registryUrl}${path}`, {
    method,
    headers: {
      "content-type": "application/json",
      ...(path.endsWith(":watch") && { accept: "text/event-stream" }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    // What is deleted at the end is deleted though it stops.
    ...(method !== "DELETE" && { signal: stopping.signal }),
  });

for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stopping.abort());

const target = await startDemoTarget(systemClock, { host: "0.0.0.0", port });
console.log(`the target listens on http://${host}:${port}/hook; waiting for ${registryUrl} ...`);
let jobId: string | undefined;
while (!stopping.signal.aborted) {
  try {
    if (jobId === undefined) {
      // What an earlier life could not delete, since it was killed.
      await deleteDemoJobs(api);
      jobId = await createDemoJob(api, `http://${host}:${port}/hook`);
      console.log(`job ${jobId} fires every five seconds; times are UTC`);
    }
    const there = await watchDemoJob(api, jobId, target, (line) => console.log(line));
    if (!there) jobId = undefined;
  } catch (error) {
    if (!stopping.signal.aborted) console.log(`not now: ${error instanceof Error ? error.message : String(error)}`);
  }
  await sleep(systemClock, againMs, stopping.signal);
}
if (jobId !== undefined) await api("DELETE", `/jobs/${jobId}`).catch(() => undefined);
process.exit(exitCodes.stopped);
