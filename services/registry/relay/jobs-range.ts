import type { Broker } from "../../platform/jetstream/broker.ts";
import { readStreamRange } from "../../platform/jetstream/stream-range.ts";
import { generationOf, isTombstone } from "../../wire/job-event.ts";
import { streams } from "../../wire/streams.ts";
import { jobIdOfSubject, subjects } from "../../wire/subjects.ts";

/** The last state of a job, as JOBS has it. */
export interface ToldState {
  jobId: string;
  /** 0 when the event cannot be read. */
  generation: number;
  deleted: boolean;
}

export interface SequenceRange {
  afterSequence: number;
  untilSequence: number;
}

/** Reads the states that JOBS holds, page by page, as long as `onPage` says true. Rejects when the broker does not answer. */
export type ReadJobs = (
  range: SequenceRange,
  onPage: (states: readonly ToldState[]) => Promise<boolean>,
) => Promise<void>;

// An event has up to 150 KB.
const pageMessages = 200;

export function createJobsRange(broker: Broker): ReadJobs {
  return (range, onPage) =>
    readStreamRange(broker, { stream: streams.jobs, subject: subjects.jobs, pageMessages, what: range }, (messages) =>
      onPage(messages.map(({ subject, data }) => ({ jobId: jobIdOfSubject(subject), ...readState(data) }))),
    );
}

function readState(event: Uint8Array): Omit<ToldState, "jobId"> {
  try {
    return { generation: generationOf(event), deleted: isTombstone(event) };
  } catch {
    // Whatever it says: what the registry does not know is withdrawn.
    return { generation: 0, deleted: false };
  }
}
