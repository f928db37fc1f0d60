import type { Log } from "../../platform/process/log.ts";
import type { Receipt, RegistryStore } from "../store/contract.ts";
import type { RebuildProgress, StreamMark } from "../store/stream-mark.ts";
import type { Withdrawal } from "./withdrawal.ts";

/** What the broker says of the JOBS stream. */
export interface StreamState {
  created: string;
  lastSequence: number;
  messages: number;
  /** Whether it takes batches that are stored as one. */
  atomicBatches: boolean;
}

/** A page of the rebuild; done when none of its jobs is left. */
export interface RebuildPage {
  readonly lastJobId: string;
  left: number;
}

/**
 * Keeps the mark, which says what JOBS holds, and fills the stream anew when it
 * is not the one that was published to. Nothing else writes the mark.
 */
export interface Rebuild {
  /** Reads where the rebuild stands, once. */
  load(): Promise<void>;
  /** The edition of JOBS: only what goes out under it counts. */
  edition(): number;
  /** Asks for the state of JOBS, and begins anew if what was published is not in it any more. */
  check(ask: () => Promise<StreamState>): Promise<StreamState>;
  /** The next jobs to publish; undefined when the page before is under way or there is nothing to fill. */
  nextPage(): Promise<{ page: RebuildPage; jobIds: string[] } | undefined>;
  /** One job of a page is in the stream, or needs no publishing. */
  finish(page: RebuildPage): void;
  /** Writes down, with the mark's progress, what the broker has acknowledged; resolves with the mark's edition. */
  write(receipts: readonly Receipt[]): Promise<number>;
}

const pageJobs = 256;
const pageBytes = 4 * 1024 * 1024;

/**
 * `onEnd` is told when the stream is whole, for this to be written down; `onWithdrawn` when the
 * stream holds nobody's jobs any more, and the registry's own may follow.
 */
export function createRebuild(
  store: RegistryStore,
  withdrawal: Withdrawal,
  deps: { log: Log; onEnd: () => void; onWithdrawn: () => void },
): Rebuild {
  const { log, onEnd, onWithdrawn } = deps;
  let progress: RebuildProgress | undefined;
  /** What the stream held when it was looked at, and the edition for which that was withdrawn. */
  let held: { untilSequence: number; atomicBatches: boolean } | undefined;
  let withdrawnEdition = 0;
  let withdrawing = false;
  /** The page that is under way. */
  let page: RebuildPage | undefined;

  const advanceTo = (rebuiltUpTo: string | undefined) => {
    page = undefined;
    if (progress) progress = { ...progress, rebuiltUpTo };
  };

  const begin = async ({ created, lastSequence, messages }: StreamState, reason: string) => {
    // A first stream that holds jobs already was filled by a registry whose data is gone.
    const level = reason === "first stream" && messages === 0 ? "info" : "warn";
    log[level]({ event: "jobs_stream_rebuild", reason, created, messages });
    progress = progressOf(await store.beginRebuild({ created, sequence: lastSequence }));
    page = undefined;
  };

  /** Before the first page: what the registry does not know fires until it is gone. Does not hold up what changes meanwhile. */
  const withdraw = async (edition: number, { untilSequence, atomicBatches }: NonNullable<typeof held>) => {
    withdrawing = true;
    const stream = () => ({ edition, atomicBatches });
    const isWanted = () => progress?.edition === edition;
    const done = await withdrawal.withdraw({ afterSequence: 0, untilSequence }, stream, isWanted);
    withdrawing = false;
    if (done) withdrawnEdition = edition;
    onWithdrawn();
  };

  /** A registry that was set back to an older state finds in JOBS what it has not told. */
  const reasonOfFirstLook = async (known: StreamMark, { lastSequence: untilSequence }: StreamState) => {
    if (held || known.rebuiltUpTo !== undefined) return undefined;
    const ahead = await withdrawal.isAhead({ afterSequence: known.sequence, untilSequence });
    return ahead ? "older registry" : undefined;
  };

  return {
    async load() {
      if (progress) return;
      const mark = await store.readMark();
      // A rebuild may have begun meanwhile.
      progress ??= progressOf(mark);
    },
    edition: () => progress?.edition ?? 0,
    async check(ask) {
      // Read before asking: what is acknowledged meanwhile must not look lost.
      const before = await store.readMark();
      const state = await ask();
      const { rows } = await store.listJobs({ afterId: "", limit: 1, maxBytes: 0 });
      const reason = reasonToRebuild(before, state, rows.length > 0) ?? (await reasonOfFirstLook(before, state));
      held = { untilSequence: state.lastSequence, atomicBatches: state.atomicBatches };
      if (reason) await begin(state, reason);
      return state;
    },
    async nextPage() {
      if (progress?.rebuiltUpTo === undefined || page || withdrawing) return undefined;
      const { edition, rebuiltUpTo } = progress;
      if (rebuiltUpTo === "" && withdrawnEdition !== edition && held) {
        void withdraw(edition, held);
        return undefined;
      }
      const { rows } = await store.listJobs({ afterId: rebuiltUpTo, limit: pageJobs, maxBytes: pageBytes });
      // Another rebuild began while this page was read.
      if (progress.edition !== edition) return undefined;
      const lastJobId = rows.at(-1)?.jobId;
      if (lastJobId === undefined) {
        advanceTo(undefined);
        log.info({ event: "jobs_stream_rebuilt", edition });
        onEnd();
        return undefined;
      }
      // A timing that was never published waits in the outbox, and goes out from there.
      // What has ended is not missed.
      const jobIds = rows.filter((row) => row.timingSequence !== 0 && !row.ended).map((row) => row.jobId);
      const next = { lastJobId, left: jobIds.length };
      if (jobIds.length > 0) page = next;
      else advanceTo(lastJobId);
      return { page: next, jobIds };
    },
    finish(done) {
      done.left--;
      if (done === page && done.left === 0) advanceTo(done.lastJobId);
    },
    write: (receipts) => store.writeReceipts(receipts, progress),
  };
}

function progressOf({ edition, rebuiltUpTo }: StreamMark): RebuildProgress {
  return { edition, rebuiltUpTo };
}

function reasonToRebuild(known: StreamMark, state: StreamState, hasJobs: boolean): string | undefined {
  if (state.created !== known.created) return known.created === "" ? "first stream" : "another stream";
  if (state.lastSequence < known.sequence) return "lost its end";
  // While it is being filled it may be empty for a moment.
  if (state.messages === 0 && known.sequence > 0 && hasJobs && known.rebuiltUpTo === undefined) return "empty";
  return undefined;
}
