import { askBroker } from "../../platform/jetstream/ask-broker.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { createPatience } from "../../platform/jetstream/patience.ts";
import { WorkMessage } from "../../platform/jetstream/work-message.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { type LaneKind, laneOf } from "../../wire/lane.ts";
import { ensureSubjectConsumer, streams } from "../../wire/streams.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Waiting } from "./lane-directory.ts";

/** A lane as its reader knows it. */
export interface LanePlace {
  /** Of its calls; undefined while none was read, and where they are of several: what a run left behind. */
  origin: string | undefined;
  kind: LaneKind | undefined;
}

/**
 * Lanes whose origins take more than one attempt at a time, those of which one is to be tried, and what dead runs left
 * behind: none of them is to fill the memory that the others need.
 */
export const laneAccounts = { draining: 0, tried: 1, leftBehind: 2 } as const;
export type LaneAccount = (typeof laneAccounts)[keyof typeof laneAccounts];

export interface LaneReaderDeps {
  clock: Clock;
  log: Log;
  /** How many attempts of it would be of use here now. */
  wanted: (place: LanePlace) => number;
  /** Whether messages of an account may take more memory here. */
  hasRoom: (account: LaneAccount) => boolean;
  mayLive: (run: string) => boolean;
  /** Resolves when what is in the message waits for its target, or is done with. Tells of whom the calls are. */
  take: (
    message: WorkMessage,
    kindOf: (origin: string) => LaneKind | undefined,
    account: LaneAccount,
  ) => Promise<string | undefined>;
}

/**
 * Reads from the lanes that have something in them, one message at a time, and only as fast as their origins
 * take it: what is not asked for stays with the broker, for whoever has room. What a dead run of an
 * executor left behind is read in the same way.
 */
export interface LaneReader extends Startable {
  /** What the broker has told. */
  update(waiting: Waiting): void;
  /** A lane has something in it. */
  moved(lane: string): void;
  /** How many lanes are read. */
  lanes(): number;
}

const lookEveryMs = 50;
const pullTimeoutMs = 2_000;
const maxPulls = 64;
const removedAfterMs = 60_000;

interface Lane {
  readonly stream: string;
  readonly subject: string;
  readonly durable: string;
  readonly kindOf: (origin: string) => LaneKind | undefined;
  place: LanePlace;
  /** Whether there may be something in it for us. */
  filled: boolean;
  pulling: boolean;
  /** Whether its consumer stands, as far as is known. */
  made: boolean;
  lastFilledMs: number;
  /** Whether it may be read at all. */
  readonly mayRead: () => boolean;
}

export function createLaneReader(broker: Broker, deps: LaneReaderDeps): LaneReader {
  const { clock, log } = deps;
  const lanes = new Map<string, Lane>();
  const patience = createPatience(clock);
  let pulls = 0;
  let stopped = false;
  /** Where the next look begins, so that each lane comes first now and then. */
  let first = 0;
  let cancelLook: (() => void) | undefined;

  const laneNamed = (lane: string): Lane => ({
    stream: streams.lanes,
    subject: subjects.lane(lane),
    durable: `lane-${lane}`,
    kindOf: (origin) => (laneOf(origin, "slow") === lane ? "slow" : "all"),
    place: { origin: undefined, kind: undefined },
    filled: true,
    pulling: false,
    made: false,
    lastFilledMs: clock.monotonicMs(),
    mayRead: () => true,
  });
  const lanesOfRun = (run: string): Lane => ({
    ...laneNamed(run),
    stream: streams.running,
    subject: subjects.running(run),
    durable: `run-${run}`,
    // Its calls are of several origins, and go to the lanes of those.
    kindOf: () => undefined,
    // It was only held up, and has them itself.
    mayRead: () => !deps.mayLive(run),
  });

  const fill = (key: string, make: () => Lane) => {
    const lane = lanes.get(key);
    if (!lane) lanes.set(key, make());
    else {
      lane.filled = true;
      lane.lastFilledMs = clock.monotonicMs();
    }
  };

  const read = async (lane: Lane, account: LaneAccount) => {
    if (!lane.made) await askBroker(broker, () => patience.within(ensureSubjectConsumer(broker, lane)));
    lane.made = true;
    const request = JSON.stringify({ batch: 1, no_wait: true });
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${lane.stream}.${lane.durable}`;
    // A subscription of its own: what is delivered bears the subject that it was stored under.
    const message = await askBroker(broker, () =>
      broker.nc.request(subject, request, { timeout: pullTimeoutMs, noMux: true }),
    );
    if (message.headers && message.headers.code !== 0) {
      // Empty, or all of it is in work: the broker tells when there is more.
      lane.filled = false;
      return;
    }
    const origin = await deps.take(new WorkMessage(broker.nc, message), lane.kindOf, account);
    if (origin === undefined) return;
    const kind = lane.kindOf(origin);
    lane.place = { origin: kind && origin, kind };
  };

  const pull = async (lane: Lane, account: LaneAccount) => {
    lane.pulling = true;
    pulls++;
    try {
      await read(lane, account);
    } catch (error) {
      // Its consumer or stream is gone, or the broker: with the next look everything is asked anew.
      lane.made = false;
      lane.filled = false;
      if (broker.connected()) log.info({ event: "lane_not_read", lane: lane.subject, err: error });
    } finally {
      lane.pulling = false;
      pulls--;
    }
    // With many at it the others have their turn first.
    if (pulls * 2 < maxPulls) pullIfWanted(lane);
  };

  const pullIfWanted = (lane: Lane) => {
    if (stopped || !lane.filled || lane.pulling || pulls >= maxPulls || !broker.connected()) return;
    const wanted = deps.wanted(lane.place);
    if (wanted > 0 && lane.mayRead() && deps.hasRoom(accountOf(lane, wanted))) void pull(lane, accountOf(lane, wanted));
  };

  const removeEmpty = (key: string, lane: Lane) => {
    if (lane.filled || lane.pulling || clock.monotonicMs() - lane.lastFilledMs < removedAfterMs) return;
    lanes.delete(key);
    // Whoever still wants it makes it anew.
    void broker.jsm.consumers.delete(lane.stream, lane.durable).catch(() => undefined);
  };

  const look = () => {
    cancelLook = clock.after(lookEveryMs, look);
    const all = [...lanes.values()];
    first = all.length === 0 ? 0 : (first + maxPulls) % all.length;
    for (let i = 0; i < all.length && pulls < maxPulls; i++) {
      const lane = all[(first + i) % all.length];
      if (lane) pullIfWanted(lane);
    }
  };

  return {
    update(waiting) {
      for (const lane of waiting.lanes.keys()) fill(lane, () => laneNamed(lane));
      for (const run of waiting.runs.keys()) if (!deps.mayLive(run)) fill(`run ${run}`, () => lanesOfRun(run));
      for (const [key, lane] of lanes) removeEmpty(key, lane);
    },
    moved: (lane) => fill(lane, () => laneNamed(lane)),
    lanes: () => lanes.size,
    async start() {
      cancelLook ??= clock.after(lookEveryMs, look);
    },
    async stop() {
      stopped = true;
      cancelLook?.();
    },
  };
}

function accountOf({ stream }: Lane, wanted: number): LaneAccount {
  if (stream === streams.running) return laneAccounts.leftBehind;
  return wanted > 1 ? laneAccounts.draining : laneAccounts.tried;
}
