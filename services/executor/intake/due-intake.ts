import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import { type DueBatch, readDueBatch } from "../../wire/due-batch.ts";
import { Attempt } from "../calls/attempt.ts";
import type { Call } from "../calls/call.ts";
import type { Settlement } from "../settling/settlements.ts";
import { createHold } from "./hold.ts";
import { type Intake, type IntakeDeps, idOf, readable } from "./intake.ts";

interface HeldBatch {
  second: number;
  calls: Call[];
  settlement: Settlement;
  /** Since when it is held, and known not to be recorded if it was asked; monotonic. */
  sinceMs: number;
}

// What due batches may take in memory. Past it nothing is asked for: this process does not keep up, and
// others may.
const mostHeld = 400_000;
const mostMessages = 500;
const mostBytes = 128 * 1024 * 1024;

/** Takes in due batches, holds them until their second, and has their calls made. */
export function createDueIntake(deps: IntakeDeps): Intake {
  const { clock, log, caller, states, settlements } = deps;
  let heldOccurrences = 0;
  let stopped = false;

  const fire = (batches: readonly HeldBatch[]) => {
    const attempts: Attempt[] = [];
    for (const batch of batches) {
      const { second, settlement, calls } = batch;
      heldOccurrences -= calls.length;
      if (settlements.heldUpSince(batch.sinceMs)) {
        void keepChecked({ ...batch, sinceMs: clock.monotonicMs() }, true, false);
        continue;
      }
      for (const call of calls) attempts.push(new Attempt(call, idOf(call, second), second, 1, settlement));
    }
    if (!stopped) caller.submit(attempts);
  };
  const hold = createHold<HeldBatch>(clock, fire);

  const keep = (batch: HeldBatch) => {
    heldOccurrences += batch.calls.length;
    hold.add(batch.second * 1000, batch);
  };

  /** Asks what must be known before the batch fires, while it is held anyway. */
  const keepChecked = async (batch: HeldBatch, repeated: boolean, olderThanStates: boolean) => {
    const [recorded] = await Promise.all([
      repeated ? deps.history.findRecorded(batch.calls.map((call) => idOf(call, batch.second))) : undefined,
      olderThanStates ? deps.lookup.learn(batch.calls.map((call) => call.jobId)) : undefined,
    ]);
    if (stopped) return;
    if (!recorded || recorded.size === 0) return keep(batch);
    const open = batch.calls.filter((call) => !recorded.has(idOf(call, batch.second)));
    const known = batch.calls.length - open.length;
    log.info({ event: "repeats_left_out", second: batch.second, known, fired: open.length });
    keep({ ...batch, calls: open });
    for (let i = 0; i < known; i++) batch.settlement.done();
  };

  /** What lies in lanes has room of its own: thousands of targets that hang must not shut this for all others. */
  const isBehind = () => {
    const held = heldOccurrences + caller.waiting();
    return held >= mostHeld && held - caller.lanedWaiting() >= mostHeld;
  };

  const decode = (message: WorkMessage): { batch: DueBatch; calls: Call[] } | undefined => {
    try {
      const batch = readDueBatch(message.data);
      const calls = batch.entries.flatMap((entry) => readable(log, message.seq, () => deps.calls.get(entry)) ?? []);
      return { batch, calls };
    } catch (error) {
      log.error({ event: "due_batch_malformed", sequence: message.seq, err: error });
      return undefined;
    }
  };

  return {
    held: () => heldOccurrences,
    room: () => ({
      messages: deps.recordsCalls() && !isBehind() ? mostMessages : 0,
      bytes: mostBytes - settlements.bytes(),
    }),
    onMessage(message) {
      if (stopped) {
        settlements.postpone(message, 0);
        return;
      }
      const { redelivered } = message;
      if (redelivered) deps.metrics.redelivered();
      const decoded = decode(message);
      if (!decoded) {
        settlements.reject(message);
        return;
      }
      const { batch, calls } = decoded;
      const settlement = settlements.take(message, calls.length);
      if (!settlement) return;
      const kept: HeldBatch = { second: batch.second, calls, settlement, sinceMs: clock.monotonicMs() };
      const repeated = redelivered || batch.mayRepeat;
      const olderThanStates = message.storedAtNanos / 1e6 < states.completeSinceMs();
      if (repeated || olderThanStates) void keepChecked(kept, repeated, olderThanStates);
      else keep(kept);
    },
    stop() {
      stopped = true;
      for (const { settlement } of hold.drain()) settlement.giveBack();
      heldOccurrences = 0;
    },
  };
}
