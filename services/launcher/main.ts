import { systemClock } from "../platform/process/clock.ts";
import { ConfigError } from "../platform/process/config.ts";
import { banner } from "./banner.ts";
import { type LauncherConfig, readLauncherConfig } from "./config.ts";
import { createLauncher } from "./launcher.ts";
import { runUntilSignal } from "./run.ts";

// `npm start`. Exit code 0 when everything drained, after Ctrl-C as well; 1
// when it could not start or something had to be killed.

const config = readConfig();
const launcher = createLauncher(config, {
  clock: systemClock,
  write: (text) => process.stdout.write(text),
});
runUntilSignal(launcher, {
  clock: systemClock,
  underNpm: process.env.npm_lifecycle_event !== undefined,
  onStarted(addresses) {
    const guarded = (process.env.CARILLON_API_TOKENS ?? "").trim() !== "";
    process.stdout.write(`${banner({ addresses, dataDir: config.dataDir, guarded })}\n`);
  },
});

function readConfig(): LauncherConfig {
  try {
    return readLauncherConfig(process.env, process.cwd());
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
