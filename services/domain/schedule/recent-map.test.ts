import { expect, it } from "vitest";
import { RecentMap } from "./recent-map.ts";

it("keeps what was used last, and no more than it may", () => {
  const recent = new RecentMap<string, number>(2);
  let made = 0;
  const make = () => ++made;
  expect(recent.getOrMake("a", make)).toBe(1);
  expect(recent.getOrMake("b", make)).toBe(2);
  expect(recent.getOrMake("a", make)).toBe(1);
  expect(recent.getOrMake("c", make)).toBe(3);
  expect(recent.size).toBe(2);
  expect(recent.get("b")).toBeUndefined();
  expect(recent.get("a")).toBe(1);
});
