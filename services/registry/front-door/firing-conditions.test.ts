import { describe, expect, it } from "vitest";
import { firingConditions, type Observations, reasonNotToFire } from "./firing-conditions.ts";

const mib = 1024 ** 2;
const well: Observations = {
  linked: true,
  sinceTickMs: 900,
  watermarkAgeMs: -700,
  partitionsWithoutTicker: 0,
  due: { sinceLookMs: 1_900, oldestWaitsMs: 0, nobodyAsksForMs: 0 },
  streams: [{ name: "DUE", bytes: 28 * mib, maxBytes: 30 * mib }],
  relayStuckForMs: 0,
  historyAnswers: true,
  unrecordedForMs: 0,
  disk: { totalBytes: 64 * mib, freeBytes: 10 * mib },
};
const due = { sinceLookMs: 0, oldestWaitsMs: 0, nobodyAsksForMs: 0 };

/** The bound itself is well, and what is beyond it is told so. */
const rows: [name: string, bound: Partial<Observations>, beyond: Partial<Observations>, message: string][] = [
  ["broker", {}, { linked: false }, "the broker cannot be reached, or its streams do not stand: nothing fires"],
  [
    "publishing",
    { sinceTickMs: 5_000 },
    { sinceTickMs: 5_501 },
    "no ticker has had anything stored by the broker for 6 s",
  ],
  [
    "watermark",
    { watermarkAgeMs: 10_000 },
    { watermarkAgeMs: 61_000 },
    "occurrences are published with a delay of 61 s",
  ],
  ["watermark", {}, { partitionsWithoutTicker: 3 }, "3 partitions have no ticker: their jobs do not fire"],
  [
    "executors",
    { due: { ...due, oldestWaitsMs: 30_000 } },
    { due: { ...due, oldestWaitsMs: 31_000 } },
    "occurrences wait for an executor for 31 s",
  ],
  [
    "executors",
    { due: { ...due, nobodyAsksForMs: 10_000 } },
    { due: { ...due, nobodyAsksForMs: 11_000 } },
    "no executor has asked for work for 11 s",
  ],
  [
    "executors",
    { due: { ...due, sinceLookMs: 10_000 } },
    { due: { ...due, sinceLookMs: 12_000 } },
    "the broker has told nothing of DUE for 12 s",
  ],
  [
    "streams",
    {
      streams: [
        { name: "DUE", bytes: 94, maxBytes: 100 },
        { name: "X", bytes: 5, maxBytes: -1 },
        { name: "RUNNING", bytes: 100, maxBytes: 100 },
      ],
    },
    {
      streams: [
        { name: "DUE", bytes: 95 * mib, maxBytes: 100 * mib },
        { name: "X", bytes: 5, maxBytes: 100 },
      ],
    },
    "the broker takes no more of DUE (100.0 MiB)",
  ],
  [
    "relay",
    { relayStuckForMs: 10_000 },
    { relayStuckForMs: 11_000 },
    "no change of a job has reached the tickers for 11 s, and some wait",
  ],
  ["history", {}, { historyAnswers: false }, "history does not answer: executions cannot be read, jobs fire"],
  [
    "history",
    { unrecordedForMs: 30_000 },
    { unrecordedForMs: 31_000 },
    "history has not recorded what ended 31 s ago: executions cannot be read, jobs fire",
  ],
  [
    "disk",
    { disk: { totalBytes: 64 * mib, freeBytes: 4 * mib } },
    { disk: { totalBytes: 64 * mib, freeBytes: 2 * mib } },
    "the disk with the registry's data folder has 2.0 MiB left: jobs cannot be created",
  ],
];

describe("what must hold for jobs to fire", () => {
  it("has eight conditions, all told", () => {
    expect(firingConditions(well).map(({ name, ok }) => [name, ok])).toEqual(
      ["broker", "publishing", "watermark", "executors", "streams", "relay", "history", "disk"].map((name) => [
        name,
        true,
      ]),
    );
  });

  it.each(rows)("%s: is told in words", (name, bound, beyond, message) => {
    expect(firingConditions({ ...well, ...bound }).filter(({ ok }) => !ok)).toEqual([]);
    expect(firingConditions({ ...well, ...beyond }).filter(({ ok }) => !ok)).toEqual([{ name, ok: false, message }]);
  });

  it("does not hold before anything was seen", () => {
    const blind = { ...well, sinceTickMs: undefined, due: undefined, watermarkAgeMs: undefined, disk: undefined };
    expect(firingConditions(blind).flatMap(({ ok, message }) => (ok ? [] : [message]))).toEqual([
      "no ticker has told of itself yet",
      "nothing is known of the executors yet",
    ]);
  });
});

describe("what whoever creates a job is warned of", () => {
  it.each(rows)("%s", (name, bound, beyond, message) => {
    expect(reasonNotToFire({ ...well, ...bound })).toBeUndefined();
    const concerned = name !== "history" && name !== "disk";
    expect(reasonNotToFire({ ...well, ...beyond })).toBe(concerned ? message : undefined);
  });

  it("is all of it", () => {
    expect(reasonNotToFire({ ...well, linked: false, relayStuckForMs: 20_000 })).toBe(
      "the broker cannot be reached, or its streams do not stand: nothing fires; " +
        "no change of a job has reached the tickers for 20 s, and some wait",
    );
  });

  it("is not that nothing was seen yet", () => {
    const blind = { ...well, sinceTickMs: undefined, partitionsWithoutTicker: 64, due: undefined };
    expect(reasonNotToFire({ ...blind, watermarkAgeMs: undefined })).toBeUndefined();
  });
});
