import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";

const run = promisify(execFile);

export interface Suspect {
  name: string;
  pid: number | undefined;
  /** What its command line must contain to be ours: a process id alone may belong to anybody by now. */
  mark: string;
  stopSignal: NodeJS.Signals;
}

/** Longer than a service takes to drain after its launcher is gone. */
const graceMs = 10_000;
const pollMs = 50;

/** Ends what a killed launcher left behind, all at once, and resolves when it is gone, or at `giveUp`. */
export async function endOrphans(
  suspects: readonly Suspect[],
  clock: Clock,
  log: Log,
  giveUp: AbortSignal,
): Promise<void> {
  await Promise.all(suspects.map((suspect) => endOrphan(suspect, clock, log, giveUp)));
}

async function endOrphan(
  { name, pid, mark, stopSignal }: Suspect,
  clock: Clock,
  log: Log,
  giveUp: AbortSignal,
): Promise<void> {
  if (pid === undefined) return;
  const isOurs = async () => (await commandLine(pid)).includes(mark);
  if (!(await isOurs())) return;
  log.warn({ event: "orphan_found", child: name, pid });
  signal(pid, stopSignal);
  const deadlineMs = clock.monotonicMs() + graceMs;
  while (!giveUp.aborted && (await isOurs())) {
    if (clock.monotonicMs() > deadlineMs) signal(pid, "SIGKILL");
    await sleep(clock, pollMs, giveUp);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended in between.
  }
}

/** Empty when there is no such process, or it is dead already and only waits to be reaped. */
export async function commandLine(pid: number): Promise<string> {
  if (process.platform === "linux") {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ");
  }
  return run("ps", ["-o", "args=", "-p", String(pid)]).then(
    ({ stdout }) => stdout,
    () => "",
  );
}
