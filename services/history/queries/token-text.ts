import { createHash } from "node:crypto";

const checksumBytes = 9;
const shape = /^([\w.]*)\.([\w-]+)$/;

/**
 * The text of a token that is bound to its job by a checksum. That guards against mistakes, not against forgery: a token
 * opens nothing that its bearer could not ask for anyway.
 */
export function writeToken(jobId: string, content: string): string {
  return Buffer.from(`${content}.${checksum(jobId, content)}`).toString("base64url");
}

/** The content of a token; undefined when it is none of ours or that of another job. */
export function readToken(jobId: string, token: string): string | undefined {
  const text = Buffer.from(token, "base64url").toString();
  const [, content, sum] = shape.exec(text) ?? [];
  if (content === undefined || sum !== checksum(jobId, content)) return undefined;
  // base64 is read tolerantly: only the form that we write is a token.
  return Buffer.from(text).toString("base64url") === token ? content : undefined;
}

function checksum(jobId: string, content: string): string {
  const digest = createHash("sha256").update(`${content} ${jobId}`).digest();
  return digest.subarray(0, checksumBytes).toString("base64url");
}
