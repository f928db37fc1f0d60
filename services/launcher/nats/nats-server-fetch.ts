import type { Step } from "../setup/progress.mjs";

export interface FetchOptions {
  /** An empty folder, removed afterwards whatever comes. */
  workDir: string;
  step: (label: string) => Step;
  /** Ends it at once: it is then rejected. */
  signal: AbortSignal;
}

/** Brings a nats-server into `workDir` and tells where it is, or why it cannot. */
export type FetchNatsServer = (
  options: FetchOptions,
) => Promise<{ ok: true; binary: string } | { ok: false; reason: string }>;
