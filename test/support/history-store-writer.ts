// A process that records one batch after the other and says the number of each that was answered, until it is killed
// or kills itself: when the store takes up the result at a place in the batch after so many answers.
// Arguments: the engine's module, the place, the size, the number of the first batch, whether it deletes and forgets as
// well, answers, the result's place.
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import type { HistoryEngine, StoreSize } from "./history-engine.ts";
import { batchOf, tidyAfter } from "./history-store-batches.ts";

const [module = "", place = "", size = "usual", first = "0", forgets = "false", answers = "", fatal = ""] =
  process.argv.slice(2);
const { engine } = (await import(module)) as { engine: HistoryEngine };
const store = engine.create(place, size as StoreSize);
await store.start();
for (let call = Number(first); ; call++) {
  const batch = batchOf(call);
  const victim = fatal === "" ? undefined : batch[Number(fatal)];
  if (victim && call === Number(first) + Number(answers)) killWhenRead(victim);
  await store.record(batch);
  if (forgets === "true") await tidyAfter(store, call);
  process.stdout.write(`${call}\n`);
}

function killWhenRead(result: AttemptResult): void {
  const get = () => {
    process.kill(process.pid, "SIGKILL");
    return "";
  };
  Object.defineProperty(result, "message", { get, enumerable: true });
}
