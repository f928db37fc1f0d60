import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../platform/process/clock.ts";
import { configOrExit } from "../../platform/process/config-or-exit.ts";
import { formatAddress } from "../../platform/process/environment.ts";
import type { Addresses } from "../children/services.ts";
import { readLauncherConfig } from "../config.ts";
import { createLauncher } from "../launcher.ts";
import { runUntilSignal } from "../run-until-signal.ts";
import { createTerminal } from "../terminal.ts";
import { startDemoTarget } from "./demo-target.ts";
import { describeExecution, readEvents, type WatchedExecution } from "./demo-watch.ts";

// `npm run demo`: the whole system in a folder of its own, a target, one job
// that fires each second, and its executions as they happen.

// Warnings only: the executions are what there is to see. Read before the folder is made.
const config = configOrExit("demo", () =>
  readLauncherConfig({ CARILLON_LOG_LEVEL: "warn", ...process.env }, process.cwd()),
);
const dataDir = mkdtempSync(join(tmpdir(), "carillon-demo-"));
const token = process.env.CARILLON_API_TOKENS?.split(",")[0]?.trim();
const headers = {
  "content-type": "application/json",
  ...(token ? { authorization: `Bearer ${token}` } : {}),
};

const terminal = createTerminal(process.stdout, process.env, config.logFormat, systemClock);
terminal.progress.write("starting Carillon ...\n");
const launcher = createLauncher({ ...config, dataDir }, { clock: systemClock, terminal });
runUntilSignal(launcher, {
  clock: systemClock,
  say: (line) => terminal.progress.aside(() => console.error(line)),
  underNpm: process.env.npm_lifecycle_event !== undefined,
  onStarted(addresses) {
    show(`http://${formatAddress(addresses.http)}`, addresses).catch((error: unknown) => {
      console.error(error instanceof Error ? error.message : String(error));
      process.kill(process.pid, "SIGTERM");
    });
  },
  beforeExit: () => rmSync(dataDir, { recursive: true, force: true }),
});

async function show(url: string, addresses: Addresses): Promise<void> {
  const target = await startDemoTarget(systemClock);
  const job = { schedule: "* * * * * *", api_endpoint: target.url, type: "ATLEAST_ONCE" };
  const created = await fetch(`${url}/jobs`, { method: "POST", headers, body: JSON.stringify(job) });
  if (!created.ok) throw new Error(`creating the job failed: ${created.status} ${await created.text()}`);
  const { job_id: jobId } = (await created.json()) as { job_id: string };
  console.log(`POST ${url}/jobs ${JSON.stringify(job)}`);
  console.log(
    `job ${jobId}; gRPC at ${formatAddress(addresses.grpc.registry)}; Ctrl-C ends the demo. Times are UTC.\n`,
  );
  const watch = await fetch(`${url}/jobs/${jobId}/executions:watch`, {
    headers: { ...headers, accept: "text/event-stream" },
  });
  if (!watch.ok || !watch.body) throw new Error(`watching the job failed: ${watch.status} ${await watch.text()}`);
  try {
    for await (const event of readEvents(watch.body)) {
      const execution = event as WatchedExecution;
      console.log(describeExecution(execution, target.takeArrivalMs(execution.execution_id)));
    }
  } catch {
    // The stream breaks off when the system stops: that is how a demo ends.
  }
}
