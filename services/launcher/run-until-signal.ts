import type { Clock } from "../platform/process/clock.ts";
import { exitCodes } from "../platform/process/exit-codes.ts";
import type { Addresses } from "./children/services.ts";
import type { Launcher } from "./launcher.ts";
import { onParentGone } from "./on-parent-gone.ts";

export interface RunOptions {
  clock: Clock;
  /** Whether npm started this process, which then ends with it. */
  underNpm: boolean;
  onStarted: (addresses: Addresses) => void;
  beforeExit?: () => void;
  /** Tells a person how it goes. Default: a line on stderr. */
  say?: (line: string) => void;
}

// Ctrl-C under npm comes twice: from the terminal, and passed on by npm. A
// person takes longer to ask again.
const sameSignalMs = 500;

/**
 * Runs the launcher for this process's lifetime. The first signal stops it in
 * order, a second one kills what is left. A service that refuses its
 * configuration stops it as well: nothing works as it should without it.
 */
export function runUntilSignal(launcher: Launcher, options: RunOptions): void {
  const { clock, underNpm, onStarted, beforeExit = () => {}, say = console.error } = options;
  let stopping = false;
  let firstSignalAtMs = 0;
  let code: number = exitCodes.stopped;
  const exit = () => {
    beforeExit();
    process.exit(code);
  };
  const stop = (reason: string) => {
    if (stopping) {
      if (clock.monotonicMs() - firstSignalAtMs < sameSignalMs) return;
      say(`${reason} again: killing what is left`);
      launcher.kill();
      return;
    }
    stopping = true;
    firstSignalAtMs = clock.monotonicMs();
    say(`${reason}: stopping ...`);
    launcher.stop().then(
      (drained) => {
        say(drained ? "stopped" : "stopped, but not everything ended by itself");
        if (!drained && code === exitCodes.stopped) code = exitCodes.failed;
        exit();
      },
      (error) => fail(error),
    );
  };
  const fail = (error: unknown) => {
    say(error instanceof Error ? error.message : String(error));
    code = exitCodes.failed;
    exit();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  // Started by hand it may outlive its shell, as any program may.
  if (underNpm)
    onParentGone(
      clock,
      () => process.ppid,
      () => stop("npm is gone"),
    );
  // Whoever read our output is gone; the terminal with it, most likely.
  process.stdout.on("error", () => {
    if (!stopping) stop("the output was closed");
  });
  process.stderr.on("error", () => {});
  void launcher.refusal.then((name) => {
    if (stopping) return;
    code = exitCodes.badConfiguration;
    stop(`${name} refuses its configuration, as its own lines above say`);
  });
  launcher.start().then(
    (addresses) => {
      if (!stopping) onStarted(addresses);
    },
    (error) => {
      // A stop during the start makes it fail in many ways; that is no news.
      if (!stopping) return fail(error);
      if (code === exitCodes.stopped) code = exitCodes.failed;
    },
  );
}
