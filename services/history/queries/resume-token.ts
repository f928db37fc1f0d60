import type { EndingPlace } from "../store/contract.ts";
import { readToken, writeToken } from "./token-text.ts";

// No page token looks like it.
const version = "r1";
const shape = new RegExp(`^${version}\\.(\\d{1,15})\\.(\\d{1,10})\\.(\\d{1,10})$`);

/** A place in the order of endings, for the watch of a job. */
export function encodeResumeToken(jobId: string, { commit, mark, count }: EndingPlace): string {
  return writeToken(jobId, `${version}.${commit}.${mark}.${count}`);
}

/** The place in a token; undefined when it is none of ours or that of another job. */
export function decodeResumeToken(jobId: string, token: string): EndingPlace | undefined {
  const [, commit, mark, count] = shape.exec(readToken(jobId, token) ?? "") ?? [];
  if (commit === undefined) return undefined;
  return { commit: Number(commit), mark: Number(mark), count: Number(count) };
}
