import { type Clock, sleep } from "../platform/process/clock.ts";
import type { Log } from "../platform/process/log.ts";
import type { HttpCaller } from "./calls/http-caller.ts";
import type { LanePublisher } from "./lanes/lane-publisher.ts";
import type { DeadLetters } from "./results/dead-letters.ts";
import type { ResultPublisher } from "./results/result-publisher.ts";
import type { RetryPublisher } from "./results/retry-publisher.ts";
import type { Settlements } from "./settling/settlements.ts";

// Calls on the wire may end. With the second before, in which what was asked for still comes, these are 5 s: the launcher
// gives the whole stop 6.5 s, those of the ticker before it included.
const inFlightMs = 4_000;
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
  caller: HttpCaller;
  intakes: readonly { stop(): void }[];
  settlements: readonly Settlements[];
  results: ResultPublisher;
  retries: RetryPublisher;
  lanes: LanePublisher;
  dead: DeadLetters;
}): Promise<void> {
  const { clock, log, caller, results, retries, lanes, dead } = deps;
  const until = async (done: () => boolean, spanMs: number) => {
    const deadlineMs = clock.monotonicMs() + spanMs;
    while (!done() && clock.monotonicMs() < deadlineMs) await sleep(clock, pollMs);
  };
  for (const intake of deps.intakes) intake.stop();
  const unsent = caller.takeWaiting().length;
  await until(() => caller.inFlight() === 0, inFlightMs);
  const abandoned = caller.sent().map(({ executionId, number }) => ({ executionId, attempt: number }));
  await until(() => {
    retries.flush();
    results.flush();
    lanes.flush();
    dead.flush();
    return retries.pending() + results.pending() + lanes.pending() + dead.pending() === 0;
  }, flushMs);
  let given = 0;
  for (const settlements of deps.settlements) given += settlements.giveBack();
  if (given + unsent + abandoned.length > 0) {
    log.warn({ event: "work_given_back", messages: given, unsent, abandoned: abandoned.slice(0, 100) });
  }
  caller.close();
}
