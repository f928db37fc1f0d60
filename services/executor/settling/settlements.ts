import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";

/**
 * What is still open of one message. It is acknowledged when each of its
 * occurrences is settled: its final result is stored by the broker, or its
 * retry is, and then the result of the failed attempt.
 */
export interface Settlement {
  /** One occurrence is settled. */
  done(): void;
  /** The broker would not store what settles one occurrence: the message is given back once the others are done with. */
  refused(): void;
  /** Gives the message back at once: none of it was begun, and others may do it. */
  giveBack(): void;
}

/** The one place that acknowledges, gives back and prolongs the messages of one consumer. */
export interface Settlements extends Startable {
  /**
   * Takes a message of so many occurrences into account. Undefined when it
   * needs no work: it is in work here already, or it was acknowledged and that
   * got lost. Its bytes count among those of an account.
   */
  take(message: WorkMessage, occurrences: number, account?: number): Settlement | undefined;
  /** Not now: to be delivered again after the span. */
  postpone(message: WorkMessage, delayMs: number): void;
  /** Never again: it cannot be read. */
  reject(message: WorkMessage): void;
  /**
   * Whether this process was held up since then, for so long that what it had in work may have been delivered to
   * others as well. By the monotonic clock.
   */
  heldUpSince(monotonicMs: number): boolean;
  /** Messages in work. */
  pending(): number;
  /** What they take in memory: those of an account, or all. */
  bytes(account?: number): number;
  /** Gives all that is in work back to the consumer, for others to do. */
  giveBack(): number;
}

// A third of the consumers' ack wait, so that one lost message does no harm.
const workingEveryMs = 1_500;
// What was taken shortly before the last time that messages were prolonged was not among them: the ack wait without that.
const heldUpAfterMs = 3_500;
// Enough for every message that was acknowledged shortly before a broker died.
const acknowledgedRemembered = 16_384;
// After a refusal of the broker: its reason will not have gone at once.
const refusedDelayMs = 5_000;

interface Work extends Settlement {
  message: WorkMessage;
  takenAtMs: number;
  account: number;
}

export function createSettlements(deps: { clock: Clock; log: Log }): Settlements {
  const { clock, log } = deps;
  // By the message's place in the stream.
  const inWork = new Map<number, Work>();
  // Places whose acknowledgement was sent, with the stored time: a stream that was made anew counts from 1 again.
  const acknowledged = new Map<number, number>();
  const bytes: number[] = [];
  let cancelTimer: (() => void) | undefined;
  let stopped = false;
  let lookedMs = clock.monotonicMs();
  /** When it was found the last time that this process had been held up. */
  let heldUpMs = Number.NEGATIVE_INFINITY;

  const count = ({ account }: Work, more: number) => {
    bytes[account] = (bytes[account] ?? 0) + more;
  };
  const add = (work: Work) => {
    inWork.set(work.message.seq, work);
    count(work, work.message.data.length);
  };
  /** False when it was given back, or its stream made anew meanwhile: somebody else acknowledges it. */
  const remove = (work: Work) => {
    if (inWork.get(work.message.seq) !== work) return false;
    count(work, -work.message.data.length);
    return inWork.delete(work.message.seq);
  };

  const remember = (message: WorkMessage) => {
    acknowledged.set(message.seq, message.storedAtNanos);
    if (acknowledged.size <= acknowledgedRemembered) return;
    for (const oldest of acknowledged.keys()) {
      acknowledged.delete(oldest);
      break;
    }
  };

  const createWork = (message: WorkMessage, occurrences: number, account: number): Work => {
    let open = occurrences;
    let refused = 0;
    const close = (work: Work) => {
      if (--open > 0) return;
      if (!remove(work)) return;
      if (refused > 0) {
        log.warn({
          event: "message_not_settled",
          stream: work.message.stream,
          sequence: work.message.seq,
          refused,
        });
        work.message.nak(refusedDelayMs);
        return;
      }
      remember(work.message);
      work.message.ack();
    };
    return {
      message,
      takenAtMs: clock.monotonicMs(),
      account,
      done() {
        close(this);
      },
      refused() {
        refused++;
        close(this);
      },
      giveBack() {
        if (remove(this)) this.message.nak();
      },
    };
  };

  const lookAtClock = () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lookedMs > heldUpAfterMs) heldUpMs = nowMs;
    lookedMs = nowMs;
  };

  const keepWorking = () => {
    lookAtClock();
    cancelTimer = clock.after(workingEveryMs, keepWorking);
    const before = clock.monotonicMs() - workingEveryMs;
    for (const work of inWork.values()) if (work.takenAtMs <= before) work.message.working();
  };

  return {
    take(message, occurrences, account = 0) {
      const { seq } = message;
      const known = inWork.get(seq);
      if (known) {
        if (known.message.storedAtNanos === message.storedAtNanos) {
          // The newest delivery is the one to acknowledge.
          known.message = message;
          return undefined;
        }
        // The stream was made anew: the old message is gone.
        remove(known);
      }
      if (message.redelivered && acknowledged.get(seq) === message.storedAtNanos) {
        message.ack();
        return undefined;
      }
      if (stopped) {
        message.nak();
        return undefined;
      }
      if (occurrences === 0) {
        message.ack();
        return undefined;
      }
      const work = createWork(message, occurrences, account);
      add(work);
      return work;
    },
    heldUpSince(monotonicMs) {
      // What is due by then fires before the messages are prolonged.
      lookAtClock();
      return monotonicMs < heldUpMs;
    },
    postpone: (message, delayMs) => message.nak(delayMs),
    reject: (message) => message.term("malformed"),
    pending: () => inWork.size,
    bytes: (account) => (account === undefined ? bytes.reduce((sum, one) => sum + one, 0) : (bytes[account] ?? 0)),
    giveBack() {
      const given = inWork.size;
      for (const work of inWork.values()) work.message.nak();
      inWork.clear();
      bytes.length = 0;
      return given;
    },
    async start() {
      lookedMs = clock.monotonicMs();
      cancelTimer ??= clock.after(workingEveryMs, keepWorking);
    },
    /** What is delivered from now on goes back at once. */
    async stop() {
      stopped = true;
      cancelTimer?.();
    },
  };
}
