import { engine } from "./history-store.sqlite.ts";
import { historyStoreSuite } from "./history-store.suite.ts";

historyStoreSuite(engine);
