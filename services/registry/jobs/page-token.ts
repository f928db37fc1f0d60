import { createHash } from "node:crypto";
import { isJobId } from "../../domain/identity/job-id.ts";

// Bound to the call that it was made for, and to what the rest of it means.
const prefix = "jobs/1/";
const checksumBytes = 9;

/**
 * An opaque place in a list of jobs: behind this one. `asked`: what the list was narrowed down by; a token leads on
 * with the same alone.
 */
export function encodePageToken(lastJobId: string, ...asked: string[]): string {
  return Buffer.from(prefix + boundTo(asked) + lastJobId).toString("base64url");
}

/** The id behind which the page begins ("" at the start); undefined when it is no token of ours for what is asked. */
export function decodePageToken(token: string, ...asked: string[]): string | undefined {
  if (token === "") return "";
  const start = prefix + boundTo(asked);
  const text = Buffer.from(token, "base64url").toString();
  const jobId = text.slice(start.length);
  return text.startsWith(start) && isJobId(jobId) && encodePageToken(jobId, ...asked) === token ? jobId : undefined;
}

/** Guards against mistakes, not against forgery: a token opens nothing that its bearer could not ask for anyway. */
function boundTo(asked: readonly string[]): string {
  if (asked.every((text) => text === "")) return "";
  const sum = createHash("sha256").update(JSON.stringify(asked)).digest().subarray(0, checksumBytes);
  return `${sum.toString("base64url")}/`;
}
