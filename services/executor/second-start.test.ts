import { expect, test } from "vitest";
import { isSecondStart, untilSecondMiddleMs } from "./second-start.ts";

test("the start of a second is its first fifth", () => {
  expect([0, 199, 200, 999].map((ms) => isSecondStart(7_000 + ms))).toEqual([true, true, false, false]);
});

test("what is done once a second is done in the middle of each, and once only", () => {
  expect([0, 499, 500, 501, 999].map((ms) => untilSecondMiddleMs(7_000 + ms))).toEqual([500, 1, 1_000, 999, 501]);
});
