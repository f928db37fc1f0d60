import { systemClock, systemRandom } from "../platform/process/clock.ts";
import { ConfigError } from "../platform/process/config.ts";
import { runService } from "../platform/process/lifecycle.ts";
import { createLog } from "../platform/process/log.ts";
import { createMetrics } from "../platform/process/metrics.ts";
import { readTickerConfig, type TickerConfig } from "./config.ts";
import { createTicker } from "./service.ts";

// croner walks wall-clock patterns fastest, and the same everywhere, when the process has no zone of its own.
process.env.TZ = "UTC";

const config = configOrExit();
const log = createLog("ticker", config.logLevel);
const metrics = createMetrics("ticker");
runService(createTicker(config, { clock: systemClock, random: systemRandom, log, metrics }), log);

function configOrExit(): TickerConfig {
  try {
    return readTickerConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    createLog("ticker", "fatal").fatal({ event: "config_invalid", problems: error.problems }, error.message);
    process.exit(1);
  }
}
