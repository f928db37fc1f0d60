import { runService } from "../platform/process/run-service.ts";
import { readTickerConfig } from "./config.ts";
import { createTicker } from "./service.ts";

runService({ name: "ticker", readConfig: readTickerConfig, create: createTicker }, process.env);
