import { partitionOf } from "../../domain/identity/partition.ts";
import { executionIdAt } from "../../domain/identity/position.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { readStoredPage, type StoredMessage } from "../../platform/jetstream/stored-page.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import { readDeadLetter } from "../../wire/dead-letter.ts";
import { streams } from "../../wire/streams.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Letter } from "./letter.ts";
import type { LetterPlace } from "./letter-place.ts";
import type { LetterQuery, LetterStretch } from "./letter-query.ts";

export interface LetterPage {
  letters: readonly Letter[];
  /** Where to go on; undefined when there is no more. */
  next: LetterPlace | undefined;
  /** How many were looked at. */
  seen: number;
}

/** Reads up to `limit` letters of a query, from a place on. Rejects when the broker does not answer. */
export type ReadLetters = (query: LetterQuery, from: LetterPlace, limit: number) => Promise<LetterPage>;

// Of one call, however few of them match.
const mostSeen = 10_000;
const mostSeenBytes = 32 * 1024 * 1024;
// Held at once. A letter has the whole call in it, up to 150 KB.
const chunkMessages = 500;
const chunkBytes = 4 * 1024 * 1024;
// With one the broker would not say what is behind it.
const fewestMessages = 2;

export function createLetterReader(broker: Broker, { clock, log }: { clock: Clock; log: Log }): ReadLetters {
  const readChunk = ({ jobId, fromMs }: LetterStretch, sequence: number, maxMessages: number) =>
    readStoredPage(broker, clock, {
      stream: streams.dead,
      subject: jobId === undefined ? undefined : subjects.dead(partitionOf(jobId), jobId),
      from: sequence === 0 && fromMs > 0 ? { storedAtMs: fromMs } : { sequence: Math.max(sequence, 1) },
      maxMessages,
      maxBytes: chunkBytes,
    });

  /** One that cannot be read is nobody's. */
  const letterOf = ({ sequence, storedAtMs, data }: StoredMessage): Letter | undefined => {
    try {
      const { result } = readDeadLetter(data);
      return { sequence, diedAtMs: storedAtMs, executionId: executionIdAt(result.jobId, result), result };
    } catch (error) {
      log.error({ event: "dead_letter_malformed", sequence, err: error });
      return undefined;
    }
  };

  return async (query, from, limit) => {
    const letters: Letter[] = [];
    let place: LetterPlace | undefined = from;
    let seen = 0;
    let seenBytes = 0;
    const found = new Set<string>();
    while (place && letters.length < limit && seen < mostSeen && seenBytes < mostSeenBytes) {
      const { stretch: index, sequence }: LetterPlace = place;
      const stretch: LetterStretch | undefined = query.stretches[index];
      const after: LetterPlace | undefined =
        index + 1 < query.stretches.length ? { stretch: index + 1, sequence: 0 } : undefined;
      if (!stretch) break;
      const wanted = query.selective ? chunkMessages : Math.min(chunkMessages, limit - letters.length);
      const { messages, goesOn } = await readChunk(stretch, sequence, Math.max(wanted, fewestMessages));
      place = after;
      for (const [position, message] of messages.entries()) {
        if (query.isOver(message.storedAtMs)) {
          place = after;
          break;
        }
        if (letters.length >= limit) {
          place = { stretch: index, sequence: message.sequence };
          break;
        }
        seen++;
        seenBytes += message.data.length;
        const letter = letterOf(message);
        if (letter && query.matches(letter)) {
          letters.push(letter);
          found.add(letter.executionId);
        }
        const isLast = position === messages.length - 1;
        if (isLast && goesOn) place = { stretch: index, sequence: message.sequence + 1 };
      }
      if (stretch.executionIds && isSubset(stretch.executionIds, found)) place = after;
    }
    return { letters, next: place, seen };
  };
}

function isSubset(ids: ReadonlySet<string>, of: ReadonlySet<string>): boolean {
  for (const id of ids) if (!of.has(id)) return false;
  return true;
}
