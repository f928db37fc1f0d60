// A process that opens a store and writes until it is killed, or holds it open; it says what the store has answered.
// Arguments: the engine's module, the place, the number of the round, or "hold".
import type { RegistryEngine } from "./registry-engine.ts";
import { type Answered, writeUntilKilled } from "./registry-store-rows.ts";

const [module = "", place = "", round = ""] = process.argv.slice(2);
const { engine } = (await import(module)) as { engine: RegistryEngine };
const store = engine.create(place);
const tell = (answered: Answered) => process.stdout.write(`${JSON.stringify(answered)}\n`);
await store.start();
if (round === "hold") {
  tell({ kind: "opened" });
  // Until its parent closes it.
  process.stdin.resume();
} else {
  await writeUntilKilled(store, Number(round), tell);
}
