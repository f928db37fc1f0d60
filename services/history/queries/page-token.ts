import { createHash } from "node:crypto";
import type { Position } from "../../domain/identity/position.ts";

/*
 * A page token is the position of the last execution that was shown: what is
 * recorded meanwhile neither shifts the next page nor shows anything twice. It
 * is bound to its job by a checksum. That guards against mistakes, not against
 * forgery: a token opens nothing that its bearer could not ask for anyway.
 */

const version = "1";
const shape = new RegExp(`^(${version}\\.(\\d{1,13})\\.([0-9a-z]*))\\.([\\w-]+)$`);
const checksumBytes = 9;

export function encodePageToken(jobId: string, { second, run }: Position): string {
  const place = `${version}.${second}.${run}`;
  return Buffer.from(`${place}.${checksum(jobId, place)}`).toString("base64url");
}

/** The position in a token; undefined when it is none of ours or that of another job. */
export function decodePageToken(jobId: string, token: string): Position | undefined {
  const text = Buffer.from(token, "base64url").toString();
  const match = shape.exec(text);
  if (!match?.[1] || match[4] !== checksum(jobId, match[1])) return undefined;
  // base64 is read tolerantly: only the form that we write is a token.
  if (Buffer.from(text).toString("base64url") !== token) return undefined;
  return { second: Number(match[2]), run: match[3] ?? "" };
}

function checksum(jobId: string, place: string): string {
  const digest = createHash("sha256").update(`${place} ${jobId}`).digest();
  return digest.subarray(0, checksumBytes).toString("base64url");
}
