import { type Clock, sleep } from "../../platform/process/clock.ts";
import { type DiskRoom, readDisk, roomOf } from "../../platform/process/disk-room.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";

export interface BrokerCareOptions {
  /** Where the server keeps its streams. */
  storeDir: string;
  /** The server's own word on each stream (`/healthz`). */
  healthUrl: string;
  /** Ends the server, which is then started again. */
  restart: (reason: string) => void;
}

const lookEveryMs = 1_000;
const healthTimeoutMs = 2_000;
// In a row: what passes by itself is let pass.
const looksBeforeRestart = 3;
// A restart that does not help is not tried at once again.
const shortestPauseMs = 10_000;
const longestPauseMs = 300_000;
/**
 * What the server says of itself once it has failed to write: of a stream that
 * takes nothing any more, or (before 2.11) of JetStream as a whole, which it has
 * switched off. It comes back from neither by itself.
 */
const stuck = /write error|no space left|out of (space|storage|resources)|not enabled|disabled/i;

/**
 * Watches that the embedded server stores. A stream whose write failed once, on a
 * full disk for instance, takes nothing any more until the server is started again:
 * that is done as soon as the disk has room. It tells of the room on the disk before that is gone.
 */
export function createBrokerCare(options: BrokerCareOptions, deps: { clock: Clock; log: Log }): Startable {
  const { storeDir, healthUrl, restart } = options;
  const { clock, log } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> | undefined;
  let room: DiskRoom = "enough";
  let failures = 0;
  let pauseMs = shortestPauseMs;
  let restartNotBeforeMs = Number.NEGATIVE_INFINITY;

  const lookAtDisk = async () => {
    const disk = await readDisk(storeDir);
    const now = roomOf(disk);
    if (now === room) return;
    room = now;
    if (now === "enough") log.info({ event: "disk_has_room", path: storeDir, ...disk });
    else if (now === "low") log.warn({ event: "disk_filling", path: storeDir, ...disk });
    else log.error({ event: "disk_full", path: storeDir, ...disk });
  };

  const lookAtServer = async () => {
    const reason = await complaintOf(healthUrl, stopping.signal);
    const nowMs = clock.monotonicMs();
    if (reason === undefined) {
      failures = 0;
      // Long enough in order for the next trouble to be another one.
      if (nowMs - restartNotBeforeMs > longestPauseMs) pauseMs = shortestPauseMs;
      return;
    }
    if (++failures === looksBeforeRestart) log.error({ event: "broker_does_not_store", reason });
    if (failures < looksBeforeRestart || room === "none" || nowMs < restartNotBeforeMs) return;
    failures = 0;
    restartNotBeforeMs = nowMs + pauseMs;
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    log.warn({ event: "broker_restarted", reason });
    restart(reason);
  };

  return {
    async start() {
      loop ??= (async () => {
        while (!stopping.signal.aborted) {
          try {
            await lookAtDisk();
            await lookAtServer();
          } catch (error) {
            if (!stopping.signal.aborted) log.warn({ event: "broker_not_looked_at", err: error });
          }
          await sleep(clock, lookEveryMs, stopping.signal);
        }
      })();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}

/** What the server says that stops it from storing; undefined when it says no such thing, or nothing at all. */
async function complaintOf(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(healthTimeoutMs)]) });
    const text = await response.text();
    return response.ok || !stuck.test(text) ? undefined : text.trim();
  } catch {
    // It is down: who started it starts it again.
    return undefined;
  }
}
