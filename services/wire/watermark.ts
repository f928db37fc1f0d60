import { secondFrom } from "./ranges.ts";

/**
 * Of every timing that reached JOBS up to `jobsSequence`, each occurrence up to
 * `second` is stored in DUE. An older watermark is as true as a newer one; it
 * only costs repeats.
 */
export interface Watermark {
  second: number;
  jobsSequence: number;
}

/** As it stands in a message, where second 0 says that nobody knows. */
interface WatermarkFields {
  second: bigint;
  jobsSequence: bigint;
}

export function watermarkFields(watermark: Watermark | undefined): WatermarkFields {
  return { second: BigInt(watermark?.second ?? 0), jobsSequence: BigInt(watermark?.jobsSequence ?? 0) };
}

/** Throws when the second is out of range. */
export function watermarkFrom({ second, jobsSequence }: WatermarkFields): Watermark | undefined {
  return second === 0n ? undefined : { second: secondFrom(second), jobsSequence: Number(jobsSequence) };
}
