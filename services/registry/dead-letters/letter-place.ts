import { createHash } from "node:crypto";
import type { LetterFilters } from "./letter-query.ts";

/*
 * A page token is a place among the letters. A checksum binds it to the call and the filters that it was made for;
 * it guards against mistakes, not against forgery: a token opens nothing that its bearer could not ask for anyway.
 */

/** Where reading goes on. */
export interface LetterPlace {
  /** Which stretch of the query. */
  stretch: number;
  /** In DEAD; 0: where the stretch begins. */
  sequence: number;
}

const shape = /^(1\.(\d{1,4})\.(\d{1,16}))\.([\w-]+)$/;
const checksumBytes = 9;

export function encodeLetterPlace(rpc: string, filters: LetterFilters, { stretch, sequence }: LetterPlace): string {
  const place = `1.${stretch}.${sequence}`;
  return Buffer.from(`${place}.${checksum(rpc, filters, place)}`).toString("base64url");
}

/** The place in a token, the first one in an empty token; undefined when it is none of ours, or was made for other filters. */
export function decodeLetterPlace(rpc: string, filters: LetterFilters, token: string): LetterPlace | undefined {
  if (token === "") return { stretch: 0, sequence: 0 };
  const text = Buffer.from(token, "base64url").toString();
  const match = shape.exec(text);
  if (!match?.[1] || match[4] !== checksum(rpc, filters, match[1])) return undefined;
  // base64 is read tolerantly: only the form that we write is a token.
  if (Buffer.from(text).toString("base64url") !== token) return undefined;
  return { stretch: Number(match[2]), sequence: Number(match[3]) };
}

function checksum(rpc: string, filters: LetterFilters, place: string): string {
  const { jobId, reason, startTime, endTime, executionIds = [] } = filters;
  const times = [startTime, endTime].map((time) => (time ? `${time.seconds}.${time.nanos}` : ""));
  const bound = JSON.stringify([rpc, place, jobId, reason, times, executionIds]);
  return createHash("sha256").update(bound).digest().subarray(0, checksumBytes).toString("base64url");
}
