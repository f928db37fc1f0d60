import { partitionCount } from "../../domain/identity/partition.ts";
import { askBroker } from "../../platform/jetstream/ask-broker.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { createFollower } from "../../platform/jetstream/follower.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import { type Disk, readDisk } from "../../platform/process/disk-room.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { lookAtDue } from "../../wire/due-backlog.ts";
import { streams } from "../../wire/streams.ts";
import { subjects } from "../../wire/subjects.ts";
import { readTick } from "../../wire/tick.ts";
import type { Observations } from "./firing-conditions.ts";

/** Looks at the rest of the system, every two seconds; whoever asks meanwhile gets what was seen last. */
export interface SystemWatch extends Startable {
  seen(): Omit<Observations, "linked" | "relayStuckForMs">;
  /** Told of what a stream holds. */
  noteStream(stream: SeenStream & { oldestMs: number | undefined }): void;
}

type SeenStream = Observations["streams"][number];

export interface SystemWatchDeps {
  broker: Broker;
  dataDir: string;
  /** Whether history has answered anything at all. */
  askHistory: () => Promise<boolean>;
  clock: Clock;
  log: Log;
}

const lookEveryMs = 2_000;

export function createSystemWatch({ broker, dataDir, askHistory, clock, log }: SystemWatchDeps): SystemWatch {
  const stopping = new AbortController();
  const watermarks = new Map<number, { epoch: number; second: number }>();
  const filled = new Map<string, SeenStream>();
  let unrecordedForMs = 0;
  let tickMs: number | undefined;
  let due: { lookedMs: number; oldestMs: number | undefined; askedMs: number; place: string } | undefined;
  let historyAnswers = false;
  let disk: Disk | undefined;
  let loop: Promise<void> | undefined;

  const ticks = createFollower(
    broker,
    { clock, log },
    {
      stream: streams.ticks,
      subjects: [subjects.ticks],
      from: "state",
      onReset: () => watermarks.clear(),
      onMessage({ data, info }) {
        // Those of dead tickers are there as well; an old one says nothing of now.
        const ageMs = clock.nowMs() - info.timestampNanos / 1e6;
        tickMs = Math.max(tickMs ?? Number.NEGATIVE_INFINITY, clock.monotonicMs() - Math.max(0, ageMs));
        try {
          for (const { partition, epoch, watermark } of readTick(data).partitions) {
            if (!watermark || (watermarks.get(partition)?.epoch ?? 0) > epoch) continue;
            watermarks.set(partition, { epoch, second: watermark.second });
          }
        } catch (error) {
          log.error({ event: "tick_invalid", err: error });
        }
      },
    },
  );

  const lookAtExecutors = async () => {
    const look = await askBroker(broker, () => lookAtDue(broker));
    const nowMs = clock.monotonicMs();
    // Somebody asks, or the consumer moves: a busy executor asks for nothing.
    const asked = look.asking || due === undefined || look.place !== due.place;
    due = {
      lookedMs: nowMs,
      oldestMs: look.oldestMs,
      askedMs: asked ? nowMs : (due?.askedMs ?? nowMs),
      place: look.place,
    };
  };

  const look = async () => {
    const problems = await Promise.allSettled([
      lookAtExecutors(),
      askHistory().then((answers) => {
        historyAnswers = answers;
      }),
      readDisk(dataDir).then((read) => {
        disk = read;
      }),
    ]);
    for (const problem of problems) {
      if (problem.status === "rejected" && !stopping.signal.aborted) {
        log.debug({ event: "system_not_seen", err: problem.reason });
      }
    }
  };

  return {
    noteStream({ name, bytes, maxBytes, oldestMs }) {
      filled.set(name, { name, bytes, maxBytes });
      // History lets go of a result once it is recorded.
      if (name === streams.results) unrecordedForMs = oldestMs === undefined ? 0 : clock.nowMs() - oldestMs;
    },
    seen() {
      const nowMs = clock.monotonicMs();
      const lowest = Math.min(...Array.from(watermarks.values(), ({ second }) => second));
      return {
        sinceTickMs: tickMs === undefined ? undefined : nowMs - tickMs,
        watermarkAgeMs: watermarks.size === 0 ? undefined : clock.nowMs() - lowest * 1000,
        partitionsWithoutTicker: partitionCount - watermarks.size,
        due: due && {
          sinceLookMs: nowMs - due.lookedMs,
          oldestWaitsMs: due.oldestMs === undefined ? 0 : clock.nowMs() - due.oldestMs,
          nobodyAsksForMs: nowMs - due.askedMs,
        },
        streams: [...filled.values()],
        historyAnswers,
        unrecordedForMs,
        disk,
      };
    },
    async start() {
      if (loop || stopping.signal.aborted) return;
      await ticks.start();
      loop = (async () => {
        while (!stopping.signal.aborted) {
          await look();
          await sleep(clock, lookEveryMs, stopping.signal);
        }
      })();
    },
    async stop() {
      stopping.abort();
      await ticks.stop();
      // A broker that is away answers late; nobody waits for that.
    },
  };
}
