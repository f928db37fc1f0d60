import { createSqliteRegistryStore } from "../../services/registry/store/sqlite/sqlite-registry-store.ts";
import { writeUntilKilled } from "./registry-store-rows.ts";

// Started by the suite, to be killed: <folder> <round>.
const [dataDir = "", round = ""] = process.argv.slice(2);
await writeUntilKilled(createSqliteRegistryStore({ dataDir }), round, (answered) => {
  process.stdout.write(`${JSON.stringify(answered)}\n`);
});
