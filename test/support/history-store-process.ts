import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { HistoryEngine, StoreSize } from "./history-engine.ts";

const program = fileURLToPath(new URL("./history-store-writer.ts", import.meta.url));

export interface WriterOptions {
  place: string;
  size: StoreSize;
  /** The number of its first batch. Default: 0. */
  first?: number;
  /** It deletes jobs and forgets as well (history-store-batches.ts). */
  forgets?: boolean;
  /** It kills itself after so many answers, when its store takes up that result of the next batch. */
  fatal?: { answers: number; result: number };
}

/** Another process with a store at the place. It writes a line with the number of each batch that was answered. */
export function spawnWriter(
  engine: HistoryEngine,
  options: WriterOptions,
  stderr: "inherit" | "ignore" = "inherit",
): ChildProcess & { stdout: NonNullable<ChildProcess["stdout"]> } {
  const { place, size, first = 0, forgets = false, fatal } = options;
  const death = fatal ? [`${fatal.answers}`, `${fatal.result}`] : [];
  const child = spawn(process.execPath, [program, engine.module, place, size, `${first}`, `${forgets}`, ...death], {
    stdio: ["ignore", "pipe", stderr],
  });
  if (!child.stdout) throw new Error("no stdout");
  return Object.assign(child, { stdout: child.stdout });
}
