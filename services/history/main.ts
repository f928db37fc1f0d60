import { systemClock } from "../platform/clock.ts";
import { ConfigError } from "../platform/config.ts";
import { runService } from "../platform/lifecycle.ts";
import { createLog } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
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
