import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PartitionClaimSchema } from "../../gen/carillon/v1/events_pb.ts";
import { type Watermark, watermarkFields, watermarkFrom } from "./watermark.ts";

/** Who owns a partition; `owner` is empty when it was given back. */
export interface PartitionClaim {
  owner: string;
  epoch: number;
  /** What was known when the claim was written. */
  watermark: Watermark | undefined;
}

export function writePartitionClaim({ owner, epoch, watermark }: PartitionClaim): Uint8Array {
  return toBinary(
    PartitionClaimSchema,
    create(PartitionClaimSchema, { owner, epoch: BigInt(epoch), ...watermarkFields(watermark) }),
  );
}

/** `nonce` makes ids unique among all tickers and their restarts, `number` among its messages. */
export function partitionClaimId(nonce: string, number: number): string {
  return `claim-${nonce}-${number}`;
}

/** Undefined when the key was deleted. Throws when the bytes are no PartitionClaim. */
export function readPartitionClaim(bytes: Uint8Array): PartitionClaim | undefined {
  if (bytes.length === 0) return undefined;
  const { owner, epoch, ...fields } = fromBinary(PartitionClaimSchema, bytes);
  return { owner, epoch: Number(epoch), watermark: watermarkFrom(fields) };
}
