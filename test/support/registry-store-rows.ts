import { setImmediate as nextTurn } from "node:timers/promises";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { manualExecutionId } from "../../services/domain/identity/execution-id.ts";
import {
  allLanes,
  type JobRow,
  lanes,
  type NewRow,
  type OutboxEntry,
  type RegistryStore,
  type RememberedCall,
  storedState,
} from "../../services/registry/store/contract.ts";

/** Job ids by number, in their order: UUIDs of version 7. */
export const idOf = (number: number) => `01900000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;

/** Ids before those by small numbers, each after the one before it. */
export const [jobA, jobB, jobC, jobD, jobE] = [..."abcde"].map(
  (letter) => `018f0000-0000-7000-8000-${letter.repeat(12)}`,
) as [string, string, string, string, string];

export const idsOf = (items: readonly { jobId: string }[]) => items.map(({ jobId }) => jobId);

/** An active job of the first generation. */
export function rowOf(jobId: string, over: Partial<JobRow> = {}): JobRow {
  return {
    jobId,
    generation: 1,
    state: storedState.active,
    timingGeneration: 1,
    effectiveFromMs: 1_790_000_000_123,
    timingSequence: 0,
    timingEdition: 0,
    earlier: [],
    pausedGeneration: 0,
    lastSecond: undefined,
    ended: false,
    job: jobOf(jobId, "größe"),
    ...over,
  };
}

export function jobOf(jobId: string, displayName: string, over: MessageInitShape<typeof JobSchema> = {}): Uint8Array {
  return Buffer.from(toBinary(JobSchema, create(JobSchema, { jobId, displayName, ...over })));
}

export function callOf(
  requestId: string,
  contents: string,
  answer = `answer to ${contents}`,
  calledMs = 0,
): RememberedCall {
  return { requestId, fingerprint: Buffer.from(contents), answer: Buffer.from(answer), calledMs };
}

export const keptAll = { lane: lanes.create, sinceMs: 0 } as const;

/** Makes a manual run; its payload is that of no broker. */
export const runOf = (jobId: string, unique: string) => () => ({
  executionId: manualExecutionId(jobId, unique),
  payload: Buffer.from(`due ${unique}`),
});

export const creationOf = (jobId: string, request?: RememberedCall): NewRow => ({ row: rowOf(jobId), request });

export const createIn = (store: RegistryStore, ...jobIds: string[]) =>
  store.createJobs(
    jobIds.map((jobId) => creationOf(jobId)),
    keptAll,
  );

/** The next generation of a job, with another state, or with a new timing. */
export const change = (store: RegistryStore, jobId: string, over: Partial<JobRow> = {}) =>
  store.changeJob(jobId, (row) => {
    const generation = row.generation + 1;
    return { next: { ...row, generation, ...over }, answer: generation };
  });

export const deleteIn = (store: RegistryStore, jobId: string) => change(store, jobId, { state: storedState.deleted });

export async function takeAll(store: RegistryStore): Promise<OutboxEntry[]> {
  const all: OutboxEntry[] = [];
  for (let taken = await store.takeOutbox(allLanes, 100); taken.length > 0; ) {
    all.push(...taken);
    taken = await store.takeOutbox(allLanes, 100);
  }
  return all;
}

export async function listAll(store: RegistryStore, limit = 100): Promise<JobRow[]> {
  const all: JobRow[] = [];
  for (let goesOn = true; goesOn; ) {
    const page = await store.listJobs({ afterId: all.at(-1)?.jobId ?? "", limit, maxBytes: 1_000_000 });
    all.push(...page.rows);
    goesOn = page.goesOn;
  }
  return all;
}

/** What a writer tells once the store has answered it. */
export type Answered =
  | { kind: "opened" }
  | { kind: "created"; jobIds: string[]; requestId: string }
  | { kind: "changed"; jobId: string; generation: number }
  | { kind: "ran"; executionId: string }
  | { kind: "receipt"; jobId: string; sequence: number };

/** What a batch of the writer says of itself; each of its jobs bears it as its name. */
export interface WrittenBatch {
  requestId: string;
  size: number;
}

export const batchOf = ({ job }: JobRow): WrittenBatch =>
  JSON.parse(fromBinary(JobSchema, job).displayName) as WrittenBatch;

const batchJobs = 9;
const roundIds = 2 ** 32;
const writerIds = 2 ** 28;

/**
 * Creates, changes, runs and writes receipts, many at once, until the process is
 * killed; tells each answer. The receipts are those of created jobs alone.
 */
export async function writeUntilKilled(store: RegistryStore, round: number, tell: (answered: Answered) => void) {
  let mark = await store.readMark();
  if (mark.edition === 0) mark = await store.beginRebuild({ created: "once", sequence: 0 });
  const { edition } = mark;
  let { sequence } = mark;
  const known: string[] = [];
  const pick = (turn: number) => known[(turn * 7_919) % known.length];

  const create = async (writer: number) => {
    for (let turn = 0; ; turn++) {
      const batch = { requestId: `${round}-${writer}-${turn}`, size: 1 + ((writer + turn) % batchJobs) };
      const { requestId, size } = batch;
      const firstId = round * roundIds + writer * writerIds + turn * batchJobs;
      const jobIds = Array.from({ length: size }, (_, index) => idOf(firstId + index));
      const creations = jobIds.map((jobId, index) => ({
        row: rowOf(jobId, { job: jobOf(jobId, JSON.stringify(batch)) }),
        request: index === 0 ? callOf(requestId, jobId, jobId) : undefined,
      }));
      await store.createJobs(creations, { lane: turn % 2 === 0 ? lanes.create : lanes.batchCreate, sinceMs: 0 });
      known.push(...jobIds);
      tell({ kind: "created", jobIds, requestId });
    }
  };
  const changeAndRun = async (writer: number) => {
    for (let turn = writer; ; turn++) {
      const jobId = pick(turn) ?? "";
      const generation = await change(store, jobId);
      if (generation !== undefined) tell({ kind: "changed", jobId, generation });
      const run = runOf(jobId, `${round}x${writer}x${turn}`);
      const ran = await store.addRun(jobId, run);
      if (ran.kind === "added") tell({ kind: "ran", executionId: run().executionId });
    }
  };
  const relay = async () => {
    for (;;) {
      const taken = await store.takeOutbox(allLanes, 20);
      if (taken.length === 0) await nextTurn();
      const receipts = taken
        .filter(({ key }) => key.lane !== lanes.change)
        .map(({ jobId, key }) => {
          const published = { timingGeneration: 1, deleted: false, sequence: ++sequence, edition };
          return { jobId, keys: [key], published };
        });
      await store.writeReceipts(receipts);
      for (const { jobId, published } of receipts) tell({ kind: "receipt", jobId, sequence: published.sequence });
    }
  };
  await Promise.all([create(0), create(1), create(2), changeAndRun(0), changeAndRun(1), changeAndRun(2), relay()]);
}
