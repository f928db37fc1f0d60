import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ExecutorBeatSchema } from "../../gen/carillon/v1/events_pb.ts";

/** A sign of life of an executor. */
export interface ExecutorBeat {
  /** False as it stops. */
  live: boolean;
  /** The JOBS sequence up to which it has seen changes; 0 when it does not know. */
  jobsSequence: number;
}

export function writeExecutorBeat({ live, jobsSequence }: ExecutorBeat): Uint8Array {
  return toBinary(ExecutorBeatSchema, create(ExecutorBeatSchema, { live, jobsSequence: BigInt(jobsSequence) }));
}

/** Throws when the bytes are none. */
export function readExecutorBeat(bytes: Uint8Array): ExecutorBeat {
  const { live, jobsSequence } = fromBinary(ExecutorBeatSchema, bytes);
  return { live, jobsSequence: Number(jobsSequence) };
}
