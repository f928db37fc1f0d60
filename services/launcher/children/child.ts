import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "../../platform/process/clock.ts";
import type { Environment } from "../../platform/process/environment.ts";
import type { Log } from "../../platform/process/log.ts";
import { createLinePrefixer } from "./line-prefixer.ts";

export interface ChildSpec {
  name: string;
  command: string;
  args: readonly string[];
  env: Environment;
  /** A Node child gets a channel whose end tells it that the launcher is gone. */
  channel: boolean;
  /** What asks it to end. */
  stopSignal: NodeJS.Signals;
  /** The exit code by which it refuses its configuration: it is not started again then. Left out, it has no such code. */
  refusalCode?: number;
  /** Lines of its output that it refuses are dropped. */
  keepLine?: (line: string) => boolean;
}

export interface ChildDeps {
  clock: Clock;
  log: Log;
  /** Takes prefixed lines. */
  write: (text: string) => void;
  /** The prefix of this child's lines. */
  prefix: string;
  /** What is shown of a line; left out: the line itself. */
  dress?: (line: string) => string;
  onSpawn: (pid: number) => void;
  onGone: () => void;
  /** Called after each death that nobody asked for, with how many there were since the last healthy spell. */
  onDeath?: (deaths: number) => void;
  /** Called when it has refused its configuration, after the last line of its output. */
  onRefusal?: () => void;
}

export interface Child {
  start(): void;
  /** Asks it to end, and kills it when it does not; it is then started again as after any death. */
  restart(): void;
  /** Asks it to end, kills it at the deadline. Resolves when it is gone. Idempotent: later calls share the first one's answer. */
  stop(deadline: AbortSignal): Promise<HowStopped>;
}

/** `drained`: ended by itself, with exit code 0. `failed`: with another one. `killed`: at the deadline. */
export type HowStopped = "drained" | "failed" | "killed";

interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

const restartDeadlineMs = 5_000;
const firstBackoffMs = 100;
const longestBackoffMs = 5_000;
/** A child that lived this long starts again with the shortest backoff. */
const healthyAfterMs = 10_000;

/** How long to wait before a restart, after so many deaths in a row. */
export function backoffMs(deaths: number): number {
  return Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.max(0, deaths - 1));
}

/**
 * One child process that is started again, after a backoff, whenever it dies;
 * except by its refusal code, since it would refuse the same configuration again.
 */
export function createChild(spec: ChildSpec, deps: ChildDeps): Child {
  const { clock, log } = deps;
  let running: { process: ChildProcess; gone: Promise<Exit> } | undefined;
  let cancelRestart: (() => void) | undefined;
  let stopping: Promise<HowStopped> | undefined;
  let deaths = 0;

  const launch = () => {
    cancelRestart = undefined;
    const startedAtMs = clock.monotonicMs();
    const child = spawn(spec.command, [...spec.args], {
      env: { ...spec.env },
      // A group of its own: Ctrl-C in the terminal reaches the launcher only,
      // which then stops its children in order.
      detached: true,
      stdio: ["ignore", "pipe", "pipe", ...(spec.channel ? (["ipc"] as const) : [])],
    });
    for (const stream of [child.stdout, child.stderr]) {
      const lines = createLinePrefixer({
        prefix: deps.prefix,
        write: deps.write,
        ...(spec.keepLine ? { keep: spec.keepLine } : {}),
        ...(deps.dress ? { dress: deps.dress } : {}),
      });
      stream?.setEncoding("utf8").on("data", (chunk: string) => lines.push(chunk));
      stream?.on("end", () => lines.flush());
    }
    const gone = new Promise<Exit>((resolve) => {
      child.once("exit", (code, signal) => {
        resolve({ code, signal });
        died(code, signal, clock.monotonicMs() - startedAtMs);
      });
      child.once("error", (error) => {
        // Also raised when a signal could not be sent: it then still runs.
        if (child.pid !== undefined) return;
        log.error({ event: "child_not_started", child: spec.name, err: error });
        resolve({ code: null, signal: null });
        died(null, null, 0);
      });
    });
    child.once("close", (code) => {
      if (refused(code)) deps.onRefusal?.();
    });
    running = { process: child, gone };
    if (child.pid !== undefined) {
      deps.onSpawn(child.pid);
      log.debug({ event: "child_started", child: spec.name, pid: child.pid });
    }
  };

  const refused = (code: number | null) => !stopping && code !== null && code === spec.refusalCode;

  const died = (code: number | null, signal: NodeJS.Signals | null, livedMs: number) => {
    running = undefined;
    deps.onGone();
    if (stopping) return;
    if (refused(code)) {
      log.error({ event: "child_refused_configuration", child: spec.name, code });
      return;
    }
    deaths = livedMs >= healthyAfterMs ? 1 : deaths + 1;
    const restartInMs = backoffMs(deaths);
    log.warn({ event: "child_died", child: spec.name, code, signal, restartInMs });
    cancelRestart = clock.after(restartInMs, launch);
    deps.onDeath?.(deaths);
  };

  const end = async (deadline: AbortSignal): Promise<HowStopped> => {
    cancelRestart?.();
    if (!running) return "drained";
    const { process: child, gone } = running;
    let killed = false;
    const kill = () => {
      killed = true;
      log.error({ event: "child_killed", child: spec.name, pid: child.pid, reason: "it did not stop in time" });
      child.kill("SIGKILL");
    };
    if (deadline.aborted) kill();
    else child.kill(spec.stopSignal);
    deadline.addEventListener("abort", kill, { once: true });
    const { code, signal } = await gone;
    deadline.removeEventListener("abort", kill);
    if (killed) return "killed";
    // By the signal itself it ends only before it has begun anything that it would have to drain.
    if (code === 0 || signal === spec.stopSignal) return "drained";
    log.error({ event: "child_stop_failed", child: spec.name, code, signal });
    return "failed";
  };

  return {
    start() {
      if (!running && !cancelRestart && !stopping) launch();
    },
    restart() {
      const child = running?.process;
      if (!child || stopping) return;
      child.kill(spec.stopSignal);
      const cancel = clock.after(restartDeadlineMs, () => void child.kill("SIGKILL"));
      child.once("exit", cancel);
    },
    stop(deadline) {
      stopping ??= end(deadline);
      return stopping;
    },
  };
}
