import type { ManualRun, OutboxKey, Receipt } from "../store/contract.ts";
import type { RebuildPage } from "./rebuild.ts";

/** Something to publish: a manual run, or a job's state on account of outbox entries or of a rebuild. */
export interface RelayTask {
  readonly jobId: string;
  keys: readonly OutboxKey[];
  page: RebuildPage | undefined;
  readonly run: ManualRun | undefined;
}

/** Nothing of the task is left to publish: the broker has it, or its job is gone. */
export interface RelayReceipt extends Receipt {
  task: RelayTask;
}
