import { afterThisTurn } from "../../../platform/process/clock.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";

/**
 * Puts writes that arrive together into one transaction. A commit waits for an
 * fsync (about 1.4 ms), so that a commit of its own for each create would cap
 * them at some 700 a second, whatever the processor does.
 */
export interface Committer {
  /**
   * Runs `work` in the next transaction and resolves with its result once that
   * is on disk. Works run one after the other, each sees what those before it
   * wrote. What a work throws is a surprise: it takes the whole transaction
   * with it. Refusals are results, decided on before the first write.
   */
  commit<T>(work: () => T, weight?: number): Promise<T>;
  /** Resolves when everything handed in so far is on disk or has failed. */
  drain(): Promise<void>;
}

interface Pending {
  work: () => unknown;
  weight: number;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}

// Written rows a transaction: a bulk load must not keep everybody else waiting.
const maxWeight = 2_000;

/** `explain` makes of what a transaction failed with what its callers are told. */
export function createCommitter(
  db: Sqlite,
  onCommitted: () => void,
  explain: (error: unknown) => unknown = (error) => error,
): Committer {
  const queue: Pending[] = [];
  let scheduled = false;
  const runAll = db.transaction((batch: readonly Pending[]) => batch.map(({ work }) => work()));

  const schedule = () => {
    if (scheduled || queue.length === 0) return;
    scheduled = true;
    // Everything that came off the sockets in this turn shares the commit.
    afterThisTurn(flush);
  };

  const flush = () => {
    scheduled = false;
    const batch = takeBatch(queue);
    try {
      const results = runAll.immediate(batch);
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as never);
      onCommitted();
    } catch (error) {
      const reason = explain(error);
      for (const { reject } of batch) reject(reason);
    }
    schedule();
  };

  const commit = <T>(work: () => T, weight = 1) =>
    new Promise<T>((resolve, reject) => {
      queue.push({ work, weight, resolve, reject });
      schedule();
    });

  return {
    commit,
    drain: () => (scheduled ? commit(() => undefined, 0) : Promise.resolve()),
  };
}

/** At least one; then as many as the weight allows. */
function takeBatch(queue: Pending[]): Pending[] {
  let weight = 0;
  let count = 0;
  for (const pending of queue) {
    weight += pending.weight;
    if (count > 0 && weight > maxWeight) break;
    count++;
  }
  return queue.splice(0, count);
}
