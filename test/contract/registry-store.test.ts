import { engine } from "./registry-store.sqlite.ts";
import { registryStoreSuite } from "./registry-store.suite.ts";

registryStoreSuite(engine);
