import { setImmediate as nextTurn } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { JobSchema } from "../../gen/carillon/v1/job_pb.ts";
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
    job: Buffer.from(toBinary(JobSchema, create(JobSchema, { jobId, displayName: "größe" }))),
    ...over,
  };
}

export function callOf(
  requestId: string,
  contents: string,
  answer = `answer to ${contents}`,
  calledMs = 0,
): RememberedCall {
  return { requestId, fingerprint: Buffer.from(contents), answer: Buffer.from(answer), calledMs };
}

export const creationOf = (jobId: string, request?: RememberedCall): NewRow => ({ row: rowOf(jobId), request });

export const createIn = (store: RegistryStore, ...jobIds: string[]) =>
  store.createJobs(
    jobIds.map((jobId) => creationOf(jobId)),
    { lane: lanes.create, sinceMs: 0 },
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

/** Numbered ids whose order is that of their numbers. */
export const idOf = (number: number) => `job-${String(number).padStart(6, "0")}`;

/** What a writer tells once the store has answered it. */
export type Answered =
  | { kind: "created"; jobIds: string[]; requestId: string }
  | { kind: "changed"; jobId: string; generation: number }
  | { kind: "ran"; executionId: string }
  | { kind: "receipt"; jobId: string; sequence: number };

/**
 * Creates, changes, runs and writes receipts, many at once, until the process is
 * killed; tells each answer. The receipts are those of created jobs alone.
 */
export async function writeUntilKilled(store: RegistryStore, round: string, tell: (answered: Answered) => void) {
  await store.start();
  let mark = await store.readMark();
  if (mark.edition === 0) mark = await store.beginRebuild({ created: "once", sequence: 0 });
  const { edition } = mark;
  let { sequence } = mark;
  const known: string[] = [];
  const pick = (turn: number) => known[(turn * 7_919) % known.length];

  const create = async (writer: number) => {
    for (let turn = 0; ; turn++) {
      const size = 1 + ((writer + turn) % 9);
      const requestId = `${round}-${writer}-${turn}-of-${size}`;
      const jobIds = Array.from({ length: size }, (_, index) => `${requestId}-${index}`);
      const creations = jobIds.map((id, index) => creationOf(id, index === 0 ? callOf(requestId, id, id) : undefined));
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
      const executionId = `${round}-${writer}-${turn}`;
      const ran = await store.addRun(jobId, () => ({ executionId, payload: Buffer.from("due") }));
      if (ran.kind === "added") tell({ kind: "ran", executionId });
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
