import { type Condition, conditionOf, inSeconds } from "../../platform/process/conditions.ts";
import { type Disk, roomOf } from "../../platform/process/disk-room.ts";
import { streams as names } from "../../wire/streams.ts";

/** What is known of the system at this moment. Spans are in milliseconds. */
export interface Observations {
  /** Whether the connection and the streams stand. */
  linked: boolean;
  /** Since a ticker had something stored by the broker; undefined: not yet. */
  sinceTickMs: number | undefined;
  /** How far the partition that is furthest behind is published, before now; undefined: there is none. */
  watermarkAgeMs: number | undefined;
  /** Partitions that no ticker publishes. */
  partitionsWithoutTicker: number;
  due:
    | {
        /** Since this was looked at. */
        sinceLookMs: number;
        /** How long the oldest message that no executor has waits already; 0: there is none. */
        oldestWaitsMs: number;
        /** For how long nobody has asked for messages, nor got or acknowledged any. */
        nobodyAsksForMs: number;
      }
    | undefined;
  streams: readonly { name: string; bytes: number; maxBytes: number }[];
  relayStuckForMs: number;
  historyAnswers: boolean;
  /** How long the oldest result waits already that history has not recorded. */
  unrecordedForMs: number;
  disk: Disk | undefined;
}

// Well over what a take-over, an election or a restart of the broker takes.
const mostTickAgeMs = 5_000;
const mostWatermarkAgeMs = 10_000;
const mostDueWaitMs = 30_000;
const mostUnaskedMs = 10_000;
const mostLookAgeMs = 10_000;
const mostRelayStuckMs = 10_000;
const mostUnrecordedMs = 30_000;
const fullFrom = 0.95;

/** What must hold for jobs to fire, and for that to be seen. */
export function firingConditions(seen: Observations): Condition[] {
  return [
    conditionOf("broker", !seen.linked && "the broker cannot be reached, or its streams do not stand: nothing fires"),
    conditionOf("publishing", publishingProblem(seen)),
    conditionOf("watermark", watermarkProblem(seen)),
    conditionOf("executors", executorsProblem(seen)),
    conditionOf("streams", streamsProblem(seen)),
    conditionOf(
      "relay",
      seen.relayStuckForMs > mostRelayStuckMs &&
        `no change of a job has reached the tickers for ${inSeconds(seen.relayStuckForMs)}, and some wait`,
    ),
    conditionOf("history", historyProblem(seen)),
    conditionOf(
      "disk",
      seen.disk !== undefined &&
        roomOf(seen.disk) === "none" &&
        `the disk with the registry's data folder has ${mib(seen.disk.freeBytes)} left: jobs cannot be created`,
    ),
  ];
}

/** What stands between a job and its calls, as far as it is known: a system that was just started is not suspected. */
export function reasonNotToFire(seen: Observations): string | undefined {
  const { sinceTickMs, partitionsWithoutTicker } = seen;
  const known = {
    ...seen,
    sinceTickMs: sinceTickMs ?? 0,
    partitionsWithoutTicker: sinceTickMs === undefined ? 0 : partitionsWithoutTicker,
    due: seen.due ?? { sinceLookMs: 0, oldestWaitsMs: 0, nobodyAsksForMs: 0 },
    // Executions are recorded later, and the job at hand is stored.
    historyAnswers: true,
    unrecordedForMs: 0,
    disk: undefined,
  };
  const problems = firingConditions(known).filter(({ ok }) => !ok);
  return problems.length === 0 ? undefined : problems.map(({ message }) => message).join("; ");
}

function publishingProblem({ sinceTickMs }: Observations): string | undefined {
  if (sinceTickMs === undefined) return "no ticker has told of itself yet";
  if (sinceTickMs <= mostTickAgeMs) return undefined;
  return `no ticker has had anything stored by the broker for ${inSeconds(sinceTickMs)}`;
}

function watermarkProblem({ watermarkAgeMs, partitionsWithoutTicker }: Observations): string | undefined {
  if (partitionsWithoutTicker > 0)
    return `${partitionsWithoutTicker} partitions have no ticker: their jobs do not fire`;
  if (watermarkAgeMs === undefined || watermarkAgeMs <= mostWatermarkAgeMs) return undefined;
  return `occurrences are published with a delay of ${inSeconds(watermarkAgeMs)}`;
}

function executorsProblem({ due }: Observations): string | undefined {
  if (!due) return "nothing is known of the executors yet";
  if (due.sinceLookMs > mostLookAgeMs) return `the broker has told nothing of DUE for ${inSeconds(due.sinceLookMs)}`;
  if (due.oldestWaitsMs > mostDueWaitMs) return `occurrences wait for an executor for ${inSeconds(due.oldestWaitsMs)}`;
  if (due.nobodyAsksForMs > mostUnaskedMs)
    return `no executor has asked for work for ${inSeconds(due.nobodyAsksForMs)}`;
  return undefined;
}

function streamsProblem({ streams }: Observations): string | undefined {
  // What RUNNING does not take keeps its due message instead, and the calls are made: one slow target with large bodies fills it.
  const needed = streams.filter(({ name }) => name !== names.running);
  const full = needed.filter(({ bytes, maxBytes }) => maxBytes > 0 && bytes >= maxBytes * fullFrom);
  if (full.length === 0) return undefined;
  return `the broker takes no more of ${full.map(({ name, maxBytes }) => `${name} (${mib(maxBytes)})`).join(", ")}`;
}

/** One that answers may record nothing all the same, for want of room on its disk. */
function historyProblem({ historyAnswers, unrecordedForMs }: Observations): string | undefined {
  if (!historyAnswers) return "history does not answer: executions cannot be read, jobs fire";
  if (unrecordedForMs <= mostUnrecordedMs) return undefined;
  return `history has not recorded what ended ${inSeconds(unrecordedForMs)} ago: executions cannot be read, jobs fire`;
}

function mib(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
