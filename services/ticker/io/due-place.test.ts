import { describe, expect, it } from "vitest";
import { DuePlace } from "./due-place.ts";

const stored = (sequence: number, duplicate = false) => ({ kind: "stored" as const, sequence, duplicate });

describe("the place in DUE", () => {
  it("takes acknowledgements in any order for those of one stream", () => {
    const place = new DuePlace();
    const before = place.highest;
    for (const sequence of [3, 1, 2]) expect(place.stored(stored(sequence), before)).toBe(false);
    expect(place.highest).toBe(3);
    expect(place.stored(stored(4), place.highest)).toBe(false);
  });

  it("tells once that the stream is another one, of all that was under way", () => {
    const place = new DuePlace();
    place.stored(stored(100), place.highest);
    const before = place.highest;
    expect([1, 2, 3].map((sequence) => place.stored(stored(sequence), before))).toEqual([true, false, false]);
    expect(place.stored(stored(4), place.highest)).toBe(false);
    expect(place.stored(stored(1), place.highest)).toBe(true);
  });

  it("does not take the first sequence of a repeat for that of another stream", () => {
    const place = new DuePlace();
    place.stored(stored(100), place.highest);
    expect(place.stored(stored(7, true), place.highest)).toBe(false);
    expect(place.highest).toBe(100);
  });
});
