import { expect, it } from "vitest";
import type { Position } from "../../../domain/identity/position.ts";
import { packPositions, unpackPositions } from "./position-list.ts";

const lists: [string, Position[]][] = [
  ["none", []],
  ["a position before all others", [{ second: 0, run: "" }]],
  [
    "the greatest second",
    [
      { second: 1e12 - 1, run: "mz" },
      { second: 0, run: "m0" },
    ],
  ],
  [
    "runs of one second",
    [
      { second: 7, run: "mb" },
      { second: 7, run: "ma" },
      { second: 7, run: "" },
    ],
  ],
  [
    "long runs",
    [
      { second: 1e9, run: `m${"x".repeat(300)}` },
      { second: 1e9 - 63, run: "" },
      { second: 5, run: "m1" },
    ],
  ],
];

it.each(lists)("a packed list is the same when it is unpacked: %s", (_, positions) => {
  expect([...unpackPositions(packPositions(positions))]).toEqual(positions);
});

it("a list of occurrences that are a minute apart takes a byte for each", () => {
  const positions = Array.from({ length: 512 }, (_, i) => ({ second: 1_764_000_000 - 60 * i, run: "" }));
  expect(packPositions(positions).length).toBeLessThanOrEqual(positions.length + 8);
});
