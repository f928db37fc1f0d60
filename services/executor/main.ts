import { runService } from "../platform/process/run-service.ts";
import { readExecutorConfig } from "./config.ts";
import { createExecutor } from "./service.ts";

runService({ name: "executor", readConfig: readExecutorConfig, create: createExecutor }, process.env);
