import { expect, it } from "vitest";
import { newestWatermarks } from "./watermarks.ts";

const tick = (ticker: string, ...partitions: [partition: number, epoch: number, second: number | undefined][]) => ({
  ticker,
  second: 0,
  live: true,
  partitions: partitions.map(([partition, epoch, second]) => ({
    partition,
    epoch,
    watermark: second === undefined ? undefined : { second, jobsSequence: 1 },
    published: 0,
  })),
});

it("a partition is published up to where its last owner says, whoever ticked last", () => {
  const newest = newestWatermarks([
    tick("b", [1, 2, 50], [2, 1, undefined], [3, 4, 9]),
    tick("a", [1, 1, 70], [3, 4, 8]),
  ]);
  expect([...newest]).toEqual([
    [1, { second: 50, jobsSequence: 1 }],
    [3, { second: 8, jobsSequence: 1 }],
  ]);
});
