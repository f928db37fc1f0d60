import { partitionOf } from "../../domain/identity/partition.ts";
import type { BatchMessage } from "../../platform/jetstream/publisher.ts";
import { jobEventId } from "../../wire/job-event.ts";
import { subjects } from "../../wire/subjects.ts";
import { type JobRow, storedState } from "../store/contract.ts";
import { encodeRowEvent } from "./row-event.ts";

// Whoever follows JOBS has seen a deletion by then, and no due event of the job waits any more.
const tombstoneSeconds = 7 * 24 * 3_600;

/** What JOBS is told of a row. `edition` is that of the stream it goes to. */
export function messageOfRow(row: JobRow, edition: number): BatchMessage {
  return {
    subject: subjects.job(partitionOf(row.jobId), row.jobId),
    payload: encodeRowEvent(row, edition),
    messageId: jobEventId(row.jobId, row.generation, edition),
    ...(row.state === storedState.deleted && { ttlSeconds: tombstoneSeconds }),
  };
}
