import { runService } from "../platform/process/run-service.ts";
import { readRegistryConfig } from "./config.ts";
import { createRegistry } from "./service.ts";

runService({ name: "registry", readConfig: readRegistryConfig, create: createRegistry }, process.env);
