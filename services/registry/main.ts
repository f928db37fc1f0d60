// Schedules walk UTC several times faster than any other zone, whatever zone the machine is in.
process.env.TZ = "UTC";

import { systemClock, systemRandom } from "../platform/process/clock.ts";
import { ConfigError } from "../platform/process/config.ts";
import { runService } from "../platform/process/lifecycle.ts";
import { createLog } from "../platform/process/log.ts";
import { type RegistryConfig, readRegistryConfig } from "./config.ts";
import { createRegistryService } from "./service.ts";

function configure(): RegistryConfig {
  try {
    return readRegistryConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`registry: ${error.message}\n`);
    process.exit(2);
  }
}

const config = configure();
const log = createLog("registry", config.logLevel);
runService(createRegistryService(config, { clock: systemClock, random: systemRandom, log }), log);
