import { type Clock, sleep } from "../platform/process/clock.ts";
import type { Log } from "../platform/process/log.ts";
import type { HttpCaller } from "./calls/http-caller.ts";
import type { Settlements } from "./settling/settlements.ts";

// Calls on the wire may end. Counted from the begin of the stop: the readers before may take a second, and the launcher
// kills what has not stopped after 8 s, those of the ticker before it included.
const inFlightMs = 5_000;
const flushMs = 1_000;
const pollMs = 10;

/**
 * Ends the work of an executor that takes in nothing any more:
 * 1. what is held goes back at once, what waits for a connection at the end;
 * 2. calls on the wire may end, and their results are stored;
 * 3. messages that are not acknowledged by then are given back, which is logged.
 *
 * A message of which some calls were made and others not goes back as well:
 * whoever gets it asks history what was made.
 */
export async function drain(deps: {
  clock: Clock;
  log: Log;
  caller: Pick<HttpCaller, "takeWaiting" | "inFlight" | "onWire" | "close">;
  intakes: readonly { stop(): void }[];
  settlements: readonly Pick<Settlements, "giveBack">[];
  /** What comes of calls, on its way to the broker. */
  stored: readonly { flush(): void; pending(): number }[];
  /** When the stop began, monotonic. */
  toldMs: number;
}): Promise<void> {
  const { clock, log, caller, stored, toldMs } = deps;
  const until = async (done: () => boolean, deadlineMs: number) => {
    while (!done() && clock.monotonicMs() < deadlineMs) await sleep(clock, pollMs);
  };
  for (const intake of deps.intakes) intake.stop();
  const unsent = caller.takeWaiting().length;
  await until(() => caller.inFlight() === 0, toldMs + inFlightMs);
  const abandoned = caller
    .onWire()
    .map(({ attempt }) => ({ executionId: attempt.executionId, attempt: attempt.number }));
  await until(() => {
    for (const one of stored) one.flush();
    return stored.every((one) => one.pending() === 0);
  }, clock.monotonicMs() + flushMs);
  let given = 0;
  for (const settlements of deps.settlements) given += settlements.giveBack();
  if (given + unsent + abandoned.length > 0) {
    log.warn({ event: "work_given_back", messages: given, unsent, abandoned: abandoned.slice(0, 100) });
  }
  caller.close();
}
