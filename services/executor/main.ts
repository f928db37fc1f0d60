import { hostname } from "node:os";
import { systemClock, systemRandom } from "../platform/process/clock.ts";
import { ConfigError } from "../platform/process/config.ts";
import { runService } from "../platform/process/lifecycle.ts";
import { createLog } from "../platform/process/log.ts";
import { readConfig } from "./config.ts";
import { createExecutor } from "./service.ts";

process.env.TZ = "UTC";

try {
  const config = readConfig(process.env, { hostname: hostname(), pid: process.pid });
  const log = createLog("executor", config.logLevel);
  runService(createExecutor(config, { clock: systemClock, random: systemRandom, log }), log);
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
