import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type RunJobRequest, type RunJobResponse, RunJobResponseSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { manualExecutionId, newManualRun } from "../../domain/identity/execution-id.ts";
import { partitionOf } from "../../domain/identity/partition.ts";
import { type Clock, type Random, secondOf } from "../../platform/process/clock.ts";
import { writeDueBatch } from "../../wire/due-batch.ts";
import { dueEntryOf, writeDueEntry } from "../../wire/due-entry.ts";
import type { JobRow, RegistryStore } from "../store/contract.ts";
import type { AcceptedRun } from "./accepted-runs.ts";
import { findJobId, readJobName } from "./job-names.ts";
import { jobNotFound, requestIdReused } from "./refusals.ts";
import { requestMemoryMs } from "./request-sweeper.ts";
import { decodeRow } from "./stored-job.ts";

/** Runs a job once, beside its schedule: a due batch of its own, by way of the outbox. */
export function createManualRuns(deps: {
  store: Pick<RegistryStore, "addRun" | "findKeys">;
  clock: Clock;
  random: Random;
  /** Told of each run once it is stored. */
  onAccepted: (run: AcceptedRun) => void;
}): (request: RunJobRequest) => Promise<RunJobResponse> {
  const { store, clock, random } = deps;

  /** `name`: as the client wrote it. `jobId`: the job that it names. */
  const run = async (name: string, jobId: string, requestId: string) => {
    const nowMs = clock.nowMs();
    const executionId = manualExecutionId(jobId, newManualRun(random));
    const answer = create(RunJobResponseSchema, { executionId });
    const makeRun = (row: JobRow) => {
      const head = { second: secondOf(nowMs), partition: partitionOf(jobId), mayRepeat: false, epoch: 0 };
      const entry = writeDueEntry(dueEntryOf(decodeRow(row).job, { executionId }));
      return { executionId, payload: writeDueBatch({ ...head, entries: [entry] }) };
    };
    const added = await store.addRun(
      jobId,
      makeRun,
      requestId === ""
        ? undefined
        : {
            call: {
              requestId,
              // What one id stands for is the job alone, as it was named: there are no other contents.
              fingerprint: Buffer.from(name),
              answer: toBinary(RunJobResponseSchema, answer),
              calledMs: nowMs,
            },
            sinceMs: nowMs - requestMemoryMs,
          },
    );
    switch (added.kind) {
      case "added":
        deps.onAccepted({ jobId, executionId, acceptedMs: nowMs });
        return answer;
      case "earlier":
        return fromBinary(RunJobResponseSchema, added.answer);
      case "reused":
        throw requestIdReused("request_id");
      case "no job":
        return undefined;
    }
  };

  return async ({ jobId: text, requestId }) => {
    const name = readJobName(text);
    for (let before: string | undefined; ; ) {
      // A call that was answered before is answered when its job is gone, too: it is asked for under the name itself.
      const jobId = (await findJobId(store, name)) ?? text;
      const answer = await run(text, jobId, requestId);
      if (answer) return answer;
      // A key may have gone to another job in between.
      if (typeof name === "string" || jobId === before || jobId === text) throw jobNotFound(name);
      before = jobId;
    }
  };
}
