import type { Execution } from "../../../gen/carillon/v1/execution_pb.ts";
import { executionIdAt, isAfter, type Position } from "../../domain/identity/position.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { RunningCall } from "../../wire/running-calls.ts";
import { type ExecutionRecord, hasEnded } from "../records/execution-record.ts";
import type { HistoryStore } from "../store/contract.ts";
import type { CallsOnTheWire } from "./calls-on-the-wire.ts";
import { toExecution, toRunning } from "./execution-message.ts";

/** An execution, and its place in lists. */
export interface Placed {
  position: Position;
  execution: Execution;
}

/** Executions that have not ended: what is recorded of them, and what is on the wire. */
export interface Unended {
  /** An execution of which there may be a record. */
  find(executionId: string, read: () => Promise<ExecutionRecord | undefined>): Promise<Execution | undefined>;
  /** Those of a job, in the order of lists, also of some that have ended meanwhile: a list of those is read after this. */
  list(jobId: string, limit: number, after: Position | undefined): Promise<Placed[]>;
}

export function createUnended(deps: {
  store: Pick<HistoryStore, "listWaiting">;
  calls: CallsOnTheWire;
  clock: Clock;
}): Unended {
  const { store, calls, clock } = deps;
  return {
    async find(executionId, read) {
      const record = await read();
      if (record && hasEnded(record)) return toExecution(record);
      const onWire = await calls.ofExecution(executionId);
      // Its call may have ended since.
      const now = await read();
      if (now && hasEnded(now)) return toExecution(now);
      return show(now, latest(onWire), clock.nowMs());
    },
    async list(jobId, limit, after) {
      const onWire = new Map<string, RunningCall>();
      for (const call of await calls.ofJob(jobId)) {
        const id = executionIdAt(jobId, call);
        const other = onWire.get(id);
        if (!after || isAfter(call, after)) onWire.set(id, other ? newer(other, call) : call);
      }
      const nowMs = clock.nowMs();
      const placed: Placed[] = [];
      for (const record of await store.listWaiting(jobId, limit, after)) {
        const id = executionIdAt(jobId, record);
        const execution = show(record, onWire.get(id), nowMs);
        onWire.delete(id);
        if (execution) placed.push({ position: record, execution });
      }
      for (const call of onWire.values()) placed.push({ position: call, execution: toRunning(undefined, call, nowMs) });
      return placed.sort((a, b) => (isAfter(a.position, b.position) ? 1 : -1));
    },
  };
}

/** A call that is recorded has ended, whoever says that it is on the wire. */
function show(
  record: ExecutionRecord | undefined,
  call: RunningCall | undefined,
  nowMs: number,
): Execution | undefined {
  if (call && !record?.attempts.some(({ attempt }) => attempt >= call.attempt)) return toRunning(record, call, nowMs);
  return record && toExecution(record);
}

/** Two executors may have made the same call. */
function newer(a: RunningCall, b: RunningCall): RunningCall {
  return b.attempt > a.attempt || (b.attempt === a.attempt && b.sentAtMs > a.sentAtMs) ? b : a;
}

function latest(calls: readonly RunningCall[]): RunningCall | undefined {
  return calls.reduce<RunningCall | undefined>((last, call) => (last ? newer(last, call) : call), undefined);
}
