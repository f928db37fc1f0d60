import { NatsError } from "nats";

/** What the broker answers to a message. */
export interface AckBody {
  stream?: string;
  seq?: number;
  duplicate?: boolean;
  /** The id of the batch that this answer ends. */
  batch?: string;
  error?: { code: number; err_code?: number; description: string };
}

// What the broker cannot take now and may take later, beside what it marks so itself (`passingStatuses`).
// All other codes of nats-server's errors.json say something about the message or the stream's definition.
const passingCodes: ReadonlySet<number> = new Set([
  10_002, // The account's storage is full: consumers empty it, or an operator makes room.
  10_077, // The stream is full: its consumers empty it. Or its store fails, until the disk has room.
  10_009, // No leader yet.
  10_028, // No memory.
  10_047, // No disk.
  10_118, // The stream is offline,
  10_194, // and why.
  10_158, // The same id was sent before and is being stored.
]);
// Unavailable: no leader, no resources, a store that fails, JetStream not enabled. And too many requests.
const passingStatuses: ReadonlySet<number> = new Set([503, 429]);
/** The message's own acknowledgement is on the way: nothing that anybody has to know. */
export const duplicateInProcess = 10_158;
/** The stream has reached its limit. Or its store fails: there the text is another one. */
export const streamFull = 10_077;
const limitReached = /^maximum (bytes|messages)/;

/** Whether what the broker refused now it may take later, by its code and its HTTP-like status. */
export function isPassing(code: number, status: number): boolean {
  return passingCodes.has(code) || passingStatuses.has(status);
}

/** Whether the stream itself has reached what it may take. */
export function isFull(code: number | undefined, description: string): boolean {
  return code === streamFull && limitReached.test(description);
}

/** Whether the broker's own client rejected a message since the stream has reached what it may take. */
export function isFullError(error: unknown): boolean {
  const refusal = error instanceof NatsError ? error.api_error : undefined;
  return refusal !== undefined && isFull(refusal.err_code, refusal.description);
}
