import { describe, expect, it } from "vitest";
import { createJobIds, isJobId } from "./job-id.ts";
import { partitionCount, partitionOf } from "./partition.ts";

const clockOf = (times: number[]) => () => times.shift() ?? 0;

describe("job ids", () => {
  it("are UUIDs of version 7, with the instant of creation in front", () => {
    const next = createJobIds({ nowMs: () => 0x017f22e279b0, random: Math.random });
    const id = next();
    // The example of RFC 9562, appendix A.6, up to where chance begins.
    expect(id).toMatch(/^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(isJobId(id)).toBe(true);
  });

  it("increase within a millisecond and when the clock goes back", () => {
    const next = createJobIds({ nowMs: clockOf([5, 5, 5, 3, 4, 6]), random: Math.random });
    const ids = Array.from({ length: 6 }, next);
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(6);
  });

  it("increase through a bulk load of one millisecond", () => {
    const next = createJobIds({ nowMs: () => 1_700_000_000_000, random: Math.random });
    let before = next();
    for (let i = 0; i < 100_000; i++) {
      const id = next();
      if (id <= before) expect.fail(`${id} after ${before}`);
      before = id;
    }
  });

  it("leave a counter room to grow, however high it begins", () => {
    const next = createJobIds({ nowMs: () => 1, random: () => 0.999_999_999_9 });
    const [first, second] = [next(), next()];
    // 31 bits of counter: half of what version 7 has places for.
    expect(first.slice(0, 26)).toBe("00000000-0001-77ff-bfff-ff");
    expect(second > first).toBe(true);
  });

  it("of two processes that begin in one millisecond are others", () => {
    const nowMs = () => 1_700_000_000_000;
    const ids = Array.from({ length: 1_000 }, () => createJobIds({ nowMs, random: Math.random })());
    expect(new Set(ids).size).toBe(1_000);
  });

  it("spread over all partitions, evenly", () => {
    const next = createJobIds({ nowMs: () => 1, random: Math.random });
    const counts = new Array<number>(partitionCount).fill(0);
    for (let i = 0; i < 64_000; i++) {
      const partition = partitionOf(next());
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1_200);
  });

  it.each([
    "",
    "x",
    "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
    "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
    "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
    "017f22e279b07cc398c4dc0c0c07398f",
    "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n",
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
  ])("are told from %j", (text) => expect(isJobId(text)).toBe(false));
});
