import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type RunJobRequest, type RunJobResponse, RunJobResponseSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { manualExecutionId, newManualRun } from "../../domain/identity/execution-id.ts";
import { partitionOf } from "../../domain/identity/partition.ts";
import { type Clock, type Random, secondOf } from "../../platform/process/clock.ts";
import { writeDueBatch } from "../../wire/due-batch.ts";
import { dueEntryOf, writeDueEntry } from "../../wire/due-entry.ts";
import { lanes } from "../store/outbox-rows.ts";
import type { Store } from "../store/store.ts";
import { decodeRecord } from "./job-record.ts";
import { accept, type Decision, jobNotFound, refuse, requestIdReused, unwrap } from "./refusals.ts";
import { requestMemoryMs } from "./request-memory.ts";

/** Runs a job once, beside its schedule: a due batch of its own, by way of the outbox. */
export function createManualRuns(deps: {
  store: Store;
  clock: Clock;
  random: Random;
}): (request: RunJobRequest) => Promise<RunJobResponse> {
  const { store, clock, random } = deps;
  return async ({ jobId, requestId }) => {
    const decide = (): Decision<RunJobResponse> => {
      const nowMs = clock.nowMs();
      // What one id stands for is the job alone: there are no other contents.
      const fingerprint = Buffer.from(jobId);
      const earlier = requestId === "" ? undefined : store.requests.get("run", requestId, nowMs - requestMemoryMs);
      if (earlier) {
        if (Buffer.compare(earlier.fingerprint, fingerprint) !== 0) return refuse(requestIdReused("request_id"));
        return accept(fromBinary(RunJobResponseSchema, earlier.answer));
      }
      const row = store.jobs.get(jobId);
      if (!row) return refuse(jobNotFound(jobId));
      const executionId = manualExecutionId(jobId, newManualRun(random));
      const head = { second: secondOf(nowMs), partition: partitionOf(jobId), mayRepeat: false, epoch: 0 };
      const entry = writeDueEntry(dueEntryOf(decodeRecord(row).job, { executionId }));
      store.outbox.addRun(lanes.change, jobId, executionId, writeDueBatch({ ...head, entries: [entry] }));
      const answer = create(RunJobResponseSchema, { executionId });
      if (requestId !== "") {
        store.requests.put("run", requestId, { fingerprint, answer: toBinary(RunJobResponseSchema, answer) }, nowMs);
      }
      return accept(answer);
    };
    return unwrap(await store.commit(decide, rowsPerRun));
  };
}

const rowsPerRun = 2;
