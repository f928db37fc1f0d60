import type { Position } from "../../domain/identity/position.ts";
import { readToken, writeToken } from "./token-text.ts";

/*
 * A page token is the position of the last execution that was shown: what is
 * recorded meanwhile neither shifts the next page nor shows anything twice.
 */

const version = "1";
const shape = new RegExp(`^${version}\\.(\\d{1,13})\\.([0-9a-z]*)$`);

export function encodePageToken(jobId: string, { second, run }: Position): string {
  return writeToken(jobId, `${version}.${second}.${run}`);
}

/** The position in a token; undefined when it is none of ours or that of another job. */
export function decodePageToken(jobId: string, token: string): Position | undefined {
  const [, second, run = ""] = shape.exec(readToken(jobId, token) ?? "") ?? [];
  return second === undefined ? undefined : { second: Number(second), run };
}
