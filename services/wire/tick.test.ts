import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { TickSchema } from "../../gen/carillon/v1/events_pb.ts";
import { expectBothWays, seeds, WireValues } from "../../test/support/wire-values.ts";
import { readTick, type Tick, tickId, writeTick } from "./tick.ts";

const tickOf = (values: WireValues): Tick => ({
  ticker: values.text(),
  second: values.second(),
  live: values.bool(),
  partitions: values.list(() => ({
    partition: values.uint32(),
    epoch: values.uint64(),
    published: values.uint32(),
    watermark: values.watermark(),
  })),
});

describe("a tick", () => {
  it.each(seeds)("is the same to the generated code (seed %i)", (seed) => {
    const tick = tickOf(new WireValues(seed));
    const message = {
      ...tick,
      second: BigInt(tick.second),
      partitions: tick.partitions.map(({ partition, epoch, published, watermark }) => ({
        partition,
        epoch: BigInt(epoch),
        published,
        second: BigInt(watermark?.second ?? 0),
        jobsSequence: BigInt(watermark?.jobsSequence ?? 0),
      })),
    };
    expectBothWays(TickSchema, message, tick, { write: writeTick, read: readTick });
  });

  it("cannot be read from other bytes, or with a second that no clock shows", () => {
    expect(() => readTick(new Uint8Array([255, 255]))).toThrow();
    for (const message of [{ second: -1n }, { second: 5n, partitions: [{ second: 2n ** 62n }] }]) {
      expect(() => readTick(toBinary(TickSchema, create(TickSchema, message)))).toThrow(/second/);
    }
  });

  it("is named by its ticker's process and its number", () => {
    expect(tickId("n", 7)).toBe("tick-n-7");
  });
});
