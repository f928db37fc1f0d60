import type { ManualRun, OutboxKey, Receipt } from "../store/contract.ts";
import type { RebuildPage } from "./rebuild.ts";

/** Something to publish: a manual run, or a job's state on account of outbox entries or of a rebuild. */
export interface RelayTask {
  readonly jobId: string;
  keys: readonly OutboxKey[];
  page: RebuildPage | undefined;
  readonly run: ManualRun | undefined;
}

/** The broker has it; without a published state, a manual run, or a job that is gone and needs nothing any more. */
export interface RelayReceipt extends Receipt {
  task: RelayTask;
}
