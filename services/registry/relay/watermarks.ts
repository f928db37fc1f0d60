import type { Broker } from "../../platform/jetstream/broker.ts";
import { readStreamRange } from "../../platform/jetstream/stream-range.ts";
import type { Log } from "../../platform/process/log.ts";
import { streams } from "../../wire/streams.ts";
import { subjects } from "../../wire/subjects.ts";
import { readTick, type Tick } from "../../wire/tick.ts";
import type { Watermark } from "../../wire/watermark.ts";

/** Reads up to where each partition is published, by the last tick of whoever owned it last. Rejects when the broker does not answer. */
export type ReadWatermarks = () => Promise<ReadonlyMap<number, Watermark>>;

const pageMessages = 100;

export function createWatermarks(broker: Broker, log: Log): ReadWatermarks {
  return async () => {
    const ticks: Tick[] = [];
    const range = { stream: streams.ticks, subject: subjects.ticks, what: "last of each", pageMessages } as const;
    await readStreamRange(broker, range, async (messages) => {
      for (const { data, subject } of messages) {
        try {
          ticks.push(readTick(data));
        } catch (error) {
          log.error({ event: "tick_invalid", subject, err: error });
        }
      }
      return true;
    });
    return newestWatermarks(ticks);
  };
}

/** In the order of the ticks: of two of one epoch the later one counts. */
export function newestWatermarks(ticks: readonly Tick[]): ReadonlyMap<number, Watermark> {
  const newest = new Map<number, { epoch: number; watermark: Watermark | undefined }>();
  for (const { partitions } of ticks) {
    for (const { partition, epoch, watermark } of partitions) {
      if ((newest.get(partition)?.epoch ?? 0) <= epoch) newest.set(partition, { epoch, watermark });
    }
  }
  const watermarks = new Map<number, Watermark>();
  for (const [partition, { watermark }] of newest) if (watermark) watermarks.set(partition, watermark);
  return watermarks;
}
