import { isJobId } from "../../domain/identity/job-id.ts";

// Bound to the call that it was made for, and to what the rest of it means.
const prefix = "jobs/1/";

/** An opaque place in the list of jobs: behind this one. */
export function encodePageToken(lastJobId: string): string {
  return Buffer.from(prefix + lastJobId).toString("base64url");
}

/** The id behind which the page begins ("" at the start); undefined when it is no token of ours. */
export function decodePageToken(token: string): string | undefined {
  if (token === "") return "";
  const text = Buffer.from(token, "base64url").toString();
  const jobId = text.slice(prefix.length);
  return text.startsWith(prefix) && isJobId(jobId) && encodePageToken(jobId) === token ? jobId : undefined;
}
