import { systemClock } from "../platform/process/clock.ts";
import { ConfigError } from "../platform/process/config.ts";
import { runService } from "../platform/process/lifecycle.ts";
import { createLog } from "../platform/process/log.ts";
import { createMetrics } from "../platform/process/metrics.ts";
import { type HistoryConfig, readHistoryConfig } from "./config.ts";
import { createHistory } from "./service.ts";

process.env.TZ = "UTC";

const config = configOrExit();
const log = createLog("history", config.logLevel);
runService(createHistory(config, { clock: systemClock, log, metrics: createMetrics("history") }), log);

function configOrExit(): HistoryConfig {
  try {
    return readHistoryConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    createLog("history", "fatal").fatal({ event: "config_invalid", problems: error.problems }, error.message);
    process.exit(1);
  }
}
