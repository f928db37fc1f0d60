import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PartitionClaimSchema, TickSchema } from "../../../gen/carillon/v1/events_pb.ts";
import type { Claim, Tick, Watermark } from "../core/model.ts";

export function encodeTick(tick: Tick): Uint8Array {
  return toBinary(
    TickSchema,
    create(TickSchema, {
      ticker: tick.ticker,
      second: BigInt(tick.second),
      live: tick.live,
      partitions: tick.partitions.map(({ partition, epoch, published, watermark }) => ({
        partition,
        epoch: BigInt(epoch),
        published,
        ...encodedWatermark(watermark),
      })),
    }),
  );
}

/** Throws when it is not a tick. */
export function decodeTick(data: Uint8Array): Tick {
  const message = fromBinary(TickSchema, data);
  return {
    ticker: message.ticker,
    second: Number(message.second),
    live: message.live,
    partitions: message.partitions.map(({ partition, epoch, published, second, jobsSequence }) => ({
      partition,
      epoch: Number(epoch),
      published,
      watermark: decodedWatermark(second, jobsSequence),
    })),
  };
}

export function encodeClaim(claim: Claim): Uint8Array {
  const { owner, epoch, watermark } = claim;
  return toBinary(
    PartitionClaimSchema,
    create(PartitionClaimSchema, { owner, epoch: BigInt(epoch), ...encodedWatermark(watermark) }),
  );
}

/** Undefined when the key was deleted. Throws when it is not a claim. */
export function decodeClaim(data: Uint8Array): Claim | undefined {
  if (data.length === 0) return undefined;
  const { owner, epoch, second, jobsSequence } = fromBinary(PartitionClaimSchema, data);
  return { owner, epoch: Number(epoch), watermark: decodedWatermark(second, jobsSequence) };
}

// On the wire second 0 stands for "nobody knows".
function encodedWatermark(watermark: Watermark | undefined) {
  return { second: BigInt(watermark?.second ?? 0), jobsSequence: BigInt(watermark?.jobsSequence ?? 0) };
}

function decodedWatermark(second: bigint, jobsSequence: bigint): Watermark | undefined {
  return second === 0n ? undefined : { second: Number(second), jobsSequence: Number(jobsSequence) };
}
