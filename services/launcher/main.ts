import { systemClock } from "../platform/process/clock.ts";
import { configOrExit } from "../platform/process/config-or-exit.ts";
import { banner } from "./banner.ts";
import { readLauncherConfig } from "./config.ts";
import { createLauncher } from "./launcher.ts";
import { runUntilSignal } from "./run-until-signal.ts";
import { createTerminal } from "./terminal.ts";

// `npm start`. It ends with the exit codes of a service (exit-codes.ts): 0 after Ctrl-C as well, when
// everything drained; 1 also when something had to be killed; 2 also when a service refused its configuration.

const config = configOrExit("launcher", () => readLauncherConfig(process.env, process.cwd()));
const terminal = createTerminal(process.stdout, process.env, config.logFormat, systemClock);
terminal.progress.write("starting Carillon ...\n");
const launcher = createLauncher(config, { clock: systemClock, terminal });
runUntilSignal(launcher, {
  clock: systemClock,
  say: (line) => terminal.progress.aside(() => console.error(line)),
  underNpm: process.env.npm_lifecycle_event !== undefined,
  onStarted(addresses) {
    terminal.progress.write(`${banner({ addresses, dataDir: config.dataDir, guarded: config.guarded })}\n`);
  },
});
