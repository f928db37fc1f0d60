import { join } from "node:path";
import { makeFolder } from "../../../platform/process/make-folder.ts";
import { isDiskFull } from "../../../platform/sql/disk-full.ts";
import { openSoleSqlite } from "../../../platform/sql/sole-sqlite.ts";
import { type AddedRun, type ChangeHow, lanes, type RegistryStore, StoreFull, sameContents } from "../contract.ts";
import { indexedFields } from "../indexed-fields.ts";
import { type ChangedJobs, type DecideJobs, findTakenKey, type JobName } from "../named-jobs.ts";
import { planCreations } from "../plan-creations.ts";
import { createCommitter } from "./committer.ts";
import { createJobRows } from "./job-rows.ts";
import { createMarkRow } from "./mark-row.ts";
import { migrations } from "./migrations.ts";
import { createOutboxRows, type OutboxRows } from "./outbox-rows.ts";
import { createRequestRows } from "./request-rows.ts";

// Rows that a call writes for a job: its own and that of the outbox.
const rowsPerJob = 2;
// A million changes, or 256 MB of manual runs: the relay has those in memory. A bulk load on a slow broker leaves
// hundreds of thousands waiting for a while.
const defaultMostOutboxWeight = 1_000_000;
const beforeAll = { lastSecond: -1, jobId: "" };

/**
 * The registry's memory in SQLite: <data folder>/registry/registry.db. One store
 * has the file: reads and decisions run one after the other in its process, so
 * that each decision is made once, on the row as it is.
 */
export function createSqliteRegistryStore(config: { dataDir: string; mostOutboxWeight?: number }): RegistryStore {
  const { mostOutboxWeight = defaultMostOutboxWeight } = config;
  const listeners = new Set<() => void>();
  let opened: ReturnType<typeof openTables> | undefined;
  let stopping: Promise<void> = Promise.resolve();
  /** Whether the transaction that is being made adds to the outbox. */
  let outboxGrew = false;

  const open = () => {
    if (!opened) throw new Error("the store is used before it was started or after it was stopped");
    return opened;
  };
  /** Before the transaction: those that wait for it together may go beyond the bound by what they add. */
  const requireRoom = (outbox: OutboxRows, entries: number) => {
    if (outbox.weight() + entries <= mostOutboxWeight) return;
    throw new StoreFull("the outbox, which keeps what the broker has not taken yet,");
  };
  const onCommitted = () => {
    if (!outboxGrew) return;
    outboxGrew = false;
    for (const listener of listeners) listener();
  };

  return {
    async createJobs(creations, { lane, sinceMs, validateOnly = false }) {
      const { committer, jobs, outbox, requests } = open();
      requireRoom(outbox, creations.length);
      const indexed = creations.map(({ row }) => indexedFields(row));
      const keys = indexed.map(({ key }) => key);
      return committer.commit(() => {
        const plan = planCreations(creations, keys, {
          recall: (requestId) => requests.get("create", requestId, sinceMs),
          holderOf: jobs.holderOf,
        });
        if (plan.kind !== "created" || validateOnly) return plan;
        for (const [index, { row, request }] of creations.entries()) {
          const fields = indexed[index];
          if (plan.earlier.has(index) || !fields) continue;
          jobs.insert(row, fields);
          outbox.addJob(lane, row.jobId);
          if (request) requests.put("create", request);
        }
        outboxGrew = true;
        return plan;
      }, creations.length * rowsPerJob);
    },

    async findAnswers(requestIds, sinceMs) {
      const { requests } = open();
      return requestIds.map((requestId) => requests.get("create", requestId, sinceMs));
    },

    async expireRequests(beforeMs, limit) {
      const { committer, requests } = open();
      return committer.commit(() => requests.expire(beforeMs, limit));
    },

    async changeJob(jobId, decide) {
      const { committer, jobs, outbox } = open();
      requireRoom(outbox, 1);
      const decided = await committer.commit(() => {
        const row = jobs.get(jobId);
        const change = row && askSafely(() => decide(row));
        if (row && change?.ok && change.value.next) {
          jobs.update(row, change.value.next);
          outbox.addJob(lanes.change, jobId);
          outboxGrew = true;
        }
        return change;
      }, rowsPerJob);
      return decided && valueOrThrow(decided).answer;
    },

    async changeJobs<T>(names: readonly JobName[], decide: DecideJobs<T>, { lane, validateOnly = false }: ChangeHow) {
      const { committer, jobs, outbox } = open();
      requireRoom(outbox, names.length);
      const changed = await committer.commit((): Asked<ChangedJobs<T>> => {
        const rows = names.map(jobs.get);
        const change = askSafely(() => decide(rows));
        if (!change.ok) return change;
        const { next, answer } = change.value;
        const indexed = next.map((row) => row && indexedFields(row));
        const claims = next.map((row, index) => row && { jobId: row.jobId, key: indexed[index]?.key });
        const taken = findTakenKey(claims, jobs.holderOf);
        if (taken) return answered(taken);
        if (validateOnly) return answered({ kind: "changed", answer });
        // Keys are passed on in whatever order the jobs stand.
        for (const [index, before] of rows.entries()) {
          if (!before || !next[index]) continue;
          const { key } = indexedFields(before);
          if (key !== undefined && key !== indexed[index]?.key) jobs.freeKey(before.jobId);
        }
        for (const [index, row] of next.entries()) {
          const [before, fields] = [rows[index], indexed[index]];
          if (!row || !fields) continue;
          if (before) jobs.update(before, row);
          else jobs.insert(row, fields);
          outbox.addJob(before ? lanes.change : lane, row.jobId);
          outboxGrew = true;
        }
        return answered({ kind: "changed", answer });
      }, names.length * rowsPerJob);
      return valueOrThrow(changed);
    },

    async addRun(jobId, makeRun, request) {
      const { committer, jobs, outbox, requests } = open();
      requireRoom(outbox, 1);
      const added = await committer.commit((): Asked<AddedRun> => {
        const earlier = request && requests.get("run", request.call.requestId, request.sinceMs);
        if (earlier) {
          if (!sameContents(earlier, request.call)) return answered({ kind: "reused" });
          return answered({ kind: "earlier", answer: earlier.answer });
        }
        const row = jobs.get(jobId);
        if (!row) return answered({ kind: "no job" });
        const run = askSafely(() => makeRun(row));
        if (!run.ok) return run;
        outbox.addRun(lanes.change, jobId, run.value);
        if (request) requests.put("run", request.call);
        outboxGrew = true;
        return answered({ kind: "added" });
      }, rowsPerJob);
      return valueOrThrow(added);
    },

    findJob: async (name) => open().jobs.get(name),

    findKeys: async (keys) => keys.map(open().jobs.holderOf),

    async findStates(jobIds) {
      const { jobs } = open();
      return jobIds.map(jobs.getAny);
    },

    async listJobs({ afterId, limit, maxBytes, labels = [] }) {
      const { jobs } = open();
      if (labels.length > 0) return jobs.labelledPage(labels, afterId, limit, maxBytes);
      return jobs.page(afterId, limit, maxBytes);
    },

    listLabelled: async ({ labels, afterId, limit }) => open().jobs.labelled(labels, afterId, limit),

    listEnding: async ({ beforeSecond, after = beforeAll, limit }) => open().jobs.ending(beforeSecond, after, limit),

    async endJobs(ending) {
      const { committer, jobs, outbox } = open();
      return committer.commit(() => {
        let count = 0;
        for (const { jobId, timingGeneration } of ending) {
          if (!jobs.end(jobId, timingGeneration)) continue;
          outbox.addJob(lanes.batchCreate, jobId);
          count++;
        }
        outboxGrew ||= count > 0;
        return count;
      }, ending.length * rowsPerJob);
    },

    async counts() {
      const { jobs, outbox } = open();
      return { ...jobs.count(), outbox: outbox.count() };
    },

    takeOutbox: async (wanted, limit) => open().outbox.take(wanted, limit),

    onOutbox(callback) {
      listeners.add(callback);
      return () => listeners.delete(callback);
    },

    async writeReceipts(receipts, progress) {
      const { committer, jobs, outbox, mark } = open();
      return committer.commit(() => {
        const kept = mark.read();
        let { sequence, rebuiltUpTo } = kept;
        for (const { jobId, keys, published } of receipts) {
          if (published && published.edition !== kept.edition) continue;
          for (const key of keys) outbox.remove(key);
          if (!published) continue;
          if (published.deleted) jobs.remove(jobId);
          else jobs.noteTiming(jobId, published);
          sequence = Math.max(sequence, published.sequence);
        }
        if (progress?.edition === kept.edition) ({ rebuiltUpTo } = progress);
        if (sequence !== kept.sequence || rebuiltUpTo !== kept.rebuiltUpTo) {
          mark.write({ ...kept, sequence, rebuiltUpTo });
        }
        return kept.edition;
      }, receipts.length);
    },

    readMark: async () => open().mark.read(),

    async beginRebuild({ created, sequence }) {
      const { committer, mark } = open();
      return committer.commit(() => {
        const next = { edition: mark.read().edition + 1, created, sequence, rebuiltUpTo: "" };
        mark.write(next);
        return next;
      });
    },

    async start() {
      await stopping.catch(() => undefined);
      opened ??= openTables(config.dataDir, onCommitted);
    },

    stop() {
      const closing = opened;
      if (!closing) return stopping;
      // Nothing more is taken in; what was handed in before is still written.
      opened = undefined;
      stopping = closing.committer.drain().finally(closing.close);
      return stopping;
    },
  };
}

function openTables(dataDir: string, onCommitted: () => void) {
  const folder = join(dataDir, "registry");
  makeFolder(folder);
  const { db, close } = openSoleSqlite(join(folder, "registry.db"), migrations);
  try {
    const outbox = createOutboxRows(db);
    const committed = () => {
      outbox.ended("committed");
      onCommitted();
    };
    const explain = (error: unknown) => {
      outbox.ended("undone");
      return isDiskFull(error) ? new StoreFull("the disk with the registry's data folder", error) : error;
    };
    return {
      close,
      committer: createCommitter(db, committed, explain),
      jobs: createJobRows(db),
      outbox,
      requests: createRequestRows(db),
      mark: createMarkRow(db),
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** What a function that was handed in said. Its throw must not end the transaction, which others share. */
type Asked<T> = { ok: true; value: T } | { ok: false; error: unknown };

const answered = <T>(value: T): Asked<T> => ({ ok: true, value });

function askSafely<T>(work: () => T): Asked<T> {
  try {
    return answered(work());
  } catch (error) {
    return { ok: false, error };
  }
}

function valueOrThrow<T>(asked: Asked<T>): T {
  if (!asked.ok) throw asked.error;
  return asked.value;
}
