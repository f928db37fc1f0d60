import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TickSchema } from "../../gen/carillon/v1/events_pb.ts";
import { secondFrom } from "./ranges.ts";
import { type Watermark, watermarkFields, watermarkFrom } from "./watermark.ts";

/** A ticker's record of a finished second. */
export interface Tick {
  ticker: string;
  second: number;
  /** Whether this ticker wants partitions; false while it stops. */
  live: boolean;
  partitions: PartitionTick[];
}

export interface PartitionTick {
  partition: number;
  epoch: number;
  watermark: Watermark | undefined;
  /** Occurrences published for the watermark's second. */
  published: number;
}

export function writeTick({ ticker, second, live, partitions }: Tick): Uint8Array {
  return toBinary(
    TickSchema,
    create(TickSchema, {
      ticker,
      second: BigInt(second),
      live,
      partitions: partitions.map(({ partition, epoch, published, watermark }) => ({
        partition,
        epoch: BigInt(epoch),
        published,
        ...watermarkFields(watermark),
      })),
    }),
  );
}

/** `nonce` makes ids unique among all tickers and their restarts, `number` among its messages. */
export function tickId(nonce: string, number: number): string {
  return `tick-${nonce}-${number}`;
}

/** Throws when the bytes are no Tick. */
export function readTick(bytes: Uint8Array): Tick {
  const { ticker, second, live, partitions } = fromBinary(TickSchema, bytes);
  return {
    ticker,
    second: secondFrom(second),
    live,
    partitions: partitions.map(({ partition, epoch, published, ...fields }) => ({
      partition,
      epoch: Number(epoch),
      published,
      watermark: watermarkFrom(fields),
    })),
  };
}
