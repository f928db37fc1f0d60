import { partitionOf } from "../../domain/identity/partition.ts";
import type { BatchMessage } from "../../platform/jetstream/publisher.ts";
import { endedEventId, jobEventId } from "../../wire/job-event.ts";
import { subjects } from "../../wire/subjects.ts";
import { type JobRow, storedState } from "../store/contract.ts";
import { encodeRowEvent } from "./row-event.ts";

// Whoever follows JOBS has seen a deletion by then, and no due event of the job waits any more.
const tombstoneSeconds = 7 * 24 * 3_600;
// Who is away for longer has a job too many in memory, which is never due.
const endedSeconds = 3_600;

/** What JOBS is told of a row. `edition` is that of the stream it goes to. */
export function messageOfRow(row: JobRow, edition: number): BatchMessage {
  return {
    subject: subjects.job(partitionOf(row.jobId), row.jobId),
    payload: encodeRowEvent(row, edition),
    messageId: (row.ended ? endedEventId : jobEventId)(row.jobId, row.generation, edition),
    ...(row.state === storedState.deleted && { ttlSeconds: tombstoneSeconds }),
    ...(row.state !== storedState.deleted && row.ended && { ttlSeconds: endedSeconds }),
  };
}
