import { systemClock } from "../platform/process/clock.ts";
import { configOrExit } from "../platform/process/config-or-exit.ts";
import { banner } from "./banner.ts";
import { readLauncherConfig } from "./config.ts";
import { createLauncher } from "./launcher.ts";
import { runUntilSignal } from "./run-until-signal.ts";

// `npm start`. It ends with the exit codes of a service (exit-codes.ts): 0 after Ctrl-C as well, when
// everything drained; 1 also when something had to be killed; 2 also when a service refused its configuration.

const config = configOrExit("launcher", () => readLauncherConfig(process.env, process.cwd()));
const launcher = createLauncher(config, {
  clock: systemClock,
  write: (text) => process.stdout.write(text),
});
runUntilSignal(launcher, {
  clock: systemClock,
  underNpm: process.env.npm_lifecycle_event !== undefined,
  onStarted(addresses) {
    process.stdout.write(`${banner({ addresses, dataDir: config.dataDir, guarded: config.guarded })}\n`);
  },
});
