import { describe } from "vitest";
import { type HistoryEngine, storeSizes } from "../support/history-engine.ts";
import { concurrencySuite } from "./history-store.concurrency.ts";
import { crashSuite } from "./history-store.crash.ts";
import { deletionsSuite } from "./history-store.deletions.ts";
import { endingsSuite } from "./history-store.endings.ts";
import { forgettingSuite } from "./history-store.forgetting.ts";
import { lifecycleSuite } from "./history-store.lifecycle.ts";
import { modelSuite } from "./history-store.model.ts";
import { readingSuite } from "./history-store.reading.ts";
import { recordsSuite } from "./history-store.records.ts";

/** What each engine behind services/history/store/contract.ts must keep. A new one passes all of it. */
export function historyStoreSuite(engine: HistoryEngine): void {
  describe.each(storeSizes)(`a %s history store in ${engine.name}`, (size) => {
    recordsSuite(engine, size);
    readingSuite(engine, size);
    endingsSuite(engine, size);
    forgettingSuite(engine, size);
    deletionsSuite(engine, size);
    concurrencySuite(engine, size);
    lifecycleSuite(engine, size);
    modelSuite(engine, size);
    crashSuite(engine, size);
  });
}
