import { describe, expect, it } from "vitest";
import { type BoundedStream, brokerBytes, shareOf } from "./stream-limits.ts";

const all: BoundedStream[] = ["due", "lanes", "retry", "results", "jobs", "dead", "running", "ticks", "claims"];
const gib = 1024 ** 3;
const unlimited = { limits: { max_storage: -1 } };

describe("the shares of the streams", () => {
  it.each([8 * 1024 ** 2, gib + 7, 99])("never take more than there is together, of %i bytes", (bytes) => {
    const sum = all.reduce((total, stream) => total + shareOf(stream, bytes), 0);
    expect(sum).toBeLessThanOrEqual(bytes);
    expect(sum).toBeGreaterThan(bytes - 1 - all.length);
  });

  it("keep what empties DUE apart from DUE, and dead letters small", () => {
    const shares = Object.fromEntries(all.map((stream) => [stream, shareOf(stream, 100)]));
    expect(shares).toEqual({
      due: 30,
      lanes: 25,
      retry: 15,
      results: 10,
      jobs: 8,
      dead: 5,
      running: 4,
      ticks: 2,
      claims: 1,
    });
  });
});

describe("what the streams may take together", () => {
  it("is what the operator says", () => {
    expect(brokerBytes(5 * gib, { limits: { max_storage: gib } }, 1)).toBe(5 * gib);
  });

  it("is the account's limit, which counts each copy", () => {
    expect(brokerBytes(undefined, { limits: { max_storage: 6 * gib } }, 1)).toBe(6 * gib);
    expect(brokerBytes(undefined, { limits: { max_storage: 6 * gib } }, 3)).toBe(2 * gib);
  });

  it("is the limit of the tier with so many copies, which counts a message once", () => {
    const tiers = { R1: { limits: { max_storage: 9 * gib } }, R3: { limits: { max_storage: gib } } };
    expect(brokerBytes(undefined, { ...unlimited, tiers }, 3)).toBe(gib);
    expect(brokerBytes(undefined, { ...unlimited, tiers }, 1)).toBe(9 * gib);
  });

  it("is a fixed figure where nobody says anything", () => {
    expect(brokerBytes(undefined, unlimited, 1)).toBe(16 * gib);
    expect(brokerBytes(undefined, { limits: { max_storage: 0 } }, 1)).toBe(16 * gib);
  });
});
