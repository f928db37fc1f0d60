import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { PartitionClaimSchema } from "../../gen/carillon/v1/events_pb.ts";
import { expectBothWays, seeds, WireValues } from "../../test/support/wire-values.ts";
import { type PartitionClaim, partitionClaimId, readPartitionClaim, writePartitionClaim } from "./partition-claim.ts";

const claimOf = (values: WireValues): PartitionClaim => ({
  owner: values.text(),
  // From 1: no partition has an owner before its first.
  epoch: values.uint64() || 1,
  watermark: values.watermark(),
});

describe("a claim", () => {
  it.each(seeds)("is the same to the generated code (seed %i)", (seed) => {
    const claim = claimOf(new WireValues(seed));
    const message = {
      owner: claim.owner,
      epoch: BigInt(claim.epoch),
      second: BigInt(claim.watermark?.second ?? 0),
      jobsSequence: BigInt(claim.watermark?.jobsSequence ?? 0),
    };
    expectBothWays(PartitionClaimSchema, message, claim, { write: writePartitionClaim, read: readPartitionClaim });
  });

  it("is none once its key was deleted", () => {
    expect(readPartitionClaim(new Uint8Array())).toBeUndefined();
  });

  it("cannot be read from other bytes, or with a second that no clock shows", () => {
    expect(() => readPartitionClaim(new Uint8Array([255, 255]))).toThrow();
    const bytes = toBinary(PartitionClaimSchema, create(PartitionClaimSchema, { owner: "a", second: -1n }));
    expect(() => readPartitionClaim(bytes)).toThrow(/second/);
  });

  it("is named by its ticker's process and its number", () => {
    expect(partitionClaimId("n", 7)).toBe("claim-n-7");
  });
});
