import { runService } from "../platform/process/run-service.ts";
import { readHistoryConfig } from "./config.ts";
import { createHistory } from "./service.ts";

runService({ name: "history", readConfig: readHistoryConfig, create: createHistory }, process.env);
