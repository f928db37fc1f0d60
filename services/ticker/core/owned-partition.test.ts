import { describe, expect, it } from "vitest";
import type { Watermark } from "../../wire/watermark.ts";
import type { JobChange } from "./job-change.ts";
import { type Issued, OwnedPartition } from "./owned-partition.ts";

const everySecond = { key: "every-1", nextAfter: (second: number) => second + 1 };

const inherited: Watermark = { second: 100, jobsSequence: 10 };

function holding(watermark: Watermark | "unknown" = inherited, nowSecond = 100, entries = 100): OwnedPartition {
  const claim = { owner: "a", epoch: 2, watermark: watermark === "unknown" ? undefined : watermark };
  const settings = { leadMs: 700, lookbackSeconds: 3_600, limits: { entries, bytes: 1_000_000 } };
  return new OwnedPartition(3, claim, nowSecond, settings);
}

function active(fields: Partial<Extract<JobChange, { kind: "active" }>> = {}): JobChange {
  return {
    kind: "active",
    jobId: "job",
    entry: new Uint8Array(1),
    generation: 1,
    timingGeneration: 1,
    effectiveFromMs: 0,
    timingSequence: 5,
    occurrences: everySecond,
    earlier: [],
    pausedGeneration: 0,
    ...fields,
  };
}

/** Issues all that may go out up to a second. */
function issueAll(partition: OwnedPartition, target: number): Issued[] {
  const issued = [];
  while (partition.nextSecond(target) !== undefined) {
    const next = partition.issue();
    if (next) issued.push(next);
  }
  partition.skipTo(target);
  return issued;
}

const seconds = (issued: readonly Issued[]) => issued.map(({ message }) => message.second);
const marks = (issued: readonly Issued[]) => issued.map(({ message }) => message.mayRepeat);

describe("a partition", () => {
  it("goes on right behind the watermark of the owner before", () => {
    const partition = holding();
    partition.change(active(), 5);
    partition.reachedEnd();
    expect(seconds(issueAll(partition, 103))).toEqual([101, 102, 103]);
  });

  it("goes over the changes again that the owner before had not seen", () => {
    const partition = holding();
    partition.change(active({ timingSequence: 12, effectiveFromMs: 97_500 }), 12);
    partition.reachedEnd();
    expect(seconds(issueAll(partition, 101))).toEqual([98, 99, 100, 101]);
  });

  it("looks back an hour when nobody knows what was published", () => {
    const partition = holding("unknown", 10_000);
    partition.change(active(), 5);
    partition.reachedEnd();
    const issued = seconds(issueAll(partition, 10_001));
    expect([issued[0], issued.at(-1), issued.length]).toEqual([6_401, 10_001, 3_601]);
  });

  it("publishes nothing before all its jobs are loaded", () => {
    const partition = holding();
    partition.change(active(), 5);
    expect(issueAll(partition, 103)).toEqual([]);
    expect(partition.watermark).toEqual({ second: 100, jobsSequence: 10 });
  });

  it("advances its watermark only over what is acknowledged, in the order of the seconds", () => {
    const partition = holding();
    partition.change(active(), 5);
    partition.reachedEnd();
    const [first, second] = issueAll(partition, 102);
    if (!first || !second) throw new Error("two seconds were due");
    partition.acknowledge(second.tally);
    expect(partition.watermark?.second).toBe(100);
    partition.acknowledge(first.tally);
    expect(partition.watermark?.second).toBe(102);
    expect(partition.published).toBe(1);
  });

  it("holds the watermark back for late occurrences that were issued before a second", () => {
    const partition = holding();
    partition.reachedEnd();
    partition.skipTo(105);
    partition.change(active({ timingSequence: 20, effectiveFromMs: 103_500 }), 20);
    partition.reachedEnd();
    const issued = issueAll(partition, 106);
    expect(seconds(issued)).toEqual([104, 105, 106]);
    const [late, , onTime] = issued;
    if (!late || !onTime) throw new Error("three seconds were due");
    partition.acknowledge(onTime.tally);
    expect(partition.watermark).toEqual({ second: 105, jobsSequence: 0 });
  });

  // JOBS keeps the last event of a job: the first one of a timing may be gone
  // from the stream while the later one was not read yet.
  it("names no JOBS sequence before the reader has reached the end", () => {
    const partition = holding();
    partition.reachedEnd();
    partition.change(active({ timingSequence: 40, effectiveFromMs: 200_000 }), 40);
    issueAll(partition, 101);
    expect(partition.watermark).toEqual({ second: 101, jobsSequence: 0 });
    partition.reachedEnd();
    expect(partition.watermark).toEqual({ second: 101, jobsSequence: 40 });
  });

  it("publishes nothing again when only the call of a job changes", () => {
    const partition = holding();
    partition.change(active(), 5);
    partition.reachedEnd();
    issueAll(partition, 101);
    partition.change(active({ generation: 2 }), 21);
    expect(issueAll(partition, 101)).toEqual([]);
    expect(seconds(issueAll(partition, 102))).toEqual([102]);
  });

  it("never goes back with a clock that does", () => {
    const partition = holding();
    partition.change(active(), 5);
    partition.reachedEnd();
    expect(seconds(issueAll(partition, 103))).toEqual([101, 102, 103]);
    expect(issueAll(partition, 90)).toEqual([]);
    expect(seconds(issueAll(partition, 104))).toEqual([104]);
  });

  it("says which occurrences of a rebuilt JOBS it did not make up for", () => {
    const partition = holding({ second: 1_000_000, jobsSequence: 10 }, 1_000_000);
    const dropped = partition.change(active({ timingSequence: 12, effectiveFromMs: 5_000 }), 12);
    expect(dropped).toEqual({ fromMs: 5_000, untilMs: 996_400_000 });
  });

  it("begins from now where its watermark lies in the future, and says that it may repeat", () => {
    const partition = holding({ second: 1_003_600, jobsSequence: 10 }, 1_000_000);
    expect(partition.watermark).toEqual({ second: 999_999, jobsSequence: 10 });
    partition.change(active(), 5);
    partition.reachedEnd();
    const issued = issueAll(partition, 1_003_606);
    expect(seconds(issued.slice(0, 2))).toEqual([1_000_000, 1_000_001]);
    expect(marks(issued.slice(-2))).toEqual([true, false]);
  });

  it("waits for a clock that was set back by less than a minute", () => {
    const partition = holding({ second: 1_000_050, jobsSequence: 10 }, 1_000_000);
    partition.change(active(), 5);
    partition.reachedEnd();
    expect(partition.rewindWhenAhead(1_000_000, 1_000_001)).toBe(false);
    expect(issueAll(partition, 1_000_001)).toEqual([]);
    expect(partition.horizon).toBe(1_000_050);
  });

  it("that is rewound issues the seconds again, marked, and never claims what was lost", () => {
    const partition = holding();
    partition.change(active(), 5);
    partition.reachedEnd();
    const before = issueAll(partition, 110);
    for (const { tally } of before.slice(0, -1)) partition.acknowledge(tally);
    expect(partition.watermark?.second).toBe(109);
    partition.rewind(105);
    expect(partition.watermark?.second).toBe(105);
    // The last one of before is acknowledged only now.
    for (const { tally } of before.slice(-1)) partition.acknowledge(tally);
    expect(partition.watermark?.second).toBe(105);
    const again = issueAll(partition, 110);
    expect(marks(again)).toEqual([true, true, true, true, true]);
    expect(seconds(again)).toEqual([106, 107, 108, 109, 110]);
    for (const { tally } of again) partition.acknowledge(tally);
    expect(partition.watermark).toEqual({ second: 110, jobsSequence: 5 });
  });

  it("that is rewound leaves late occurrences to come where they were", () => {
    const partition = holding();
    partition.reachedEnd();
    partition.skipTo(110);
    partition.change(active({ timingSequence: 20, effectiveFromMs: 102_500 }), 20);
    partition.rewind(105);
    expect(seconds(issueAll(partition, 107))).toEqual([103, 104, 105, 106, 107]);
  });
});

describe("a partition whose jobs are edited", () => {
  const everyFive = { key: "every-5", nextAfter: (second: number) => (Math.floor(second / 5) + 1) * 5 };
  const edited = (fields: Partial<Extract<JobChange, { kind: "active" }>> = {}) =>
    active({
      generation: 2,
      timingGeneration: 2,
      effectiveFromMs: 104_500,
      timingSequence: 20,
      occurrences: everyFive,
      earlier: [
        { timingGeneration: 1, effectiveFromMs: 0, untilMs: 104_500, timingSequence: 5, occurrences: everySecond },
      ],
      ...fields,
    });

  it("publishes what was due before the edit also when it was behind, then by the new timing", () => {
    const partition = holding();
    partition.change(active(), 5);
    partition.reachedEnd();
    issueAll(partition, 102);
    partition.change(edited(), 20);
    partition.reachedEnd();
    expect(seconds(issueAll(partition, 111))).toEqual([103, 104, 105, 110]);
  });

  it("publishes what the owner before left of a timing that an edit has ended since", () => {
    const partition = holding();
    partition.change(edited(), 20);
    partition.reachedEnd();
    expect(seconds(issueAll(partition, 111))).toEqual([101, 102, 103, 104, 105, 110]);
  });

  it("owes nothing of before a pause that it has not heard of", () => {
    const partition = holding();
    partition.change(active(), 5);
    partition.reachedEnd();
    partition.skipTo(100);
    partition.change(active({ jobId: "late", timingSequence: 12, effectiveFromMs: 97_500 }), 12);
    partition.change(
      edited({ jobId: "late", earlier: [], pausedGeneration: 2, generation: 3, timingGeneration: 3 }),
      20,
    );
    expect(partition.idle).toBe(false);
    expect(seconds(issueAll(partition, 101))).toEqual([101]);
  });

  it("holds its watermark back for what an ended timing owes", () => {
    const partition = holding();
    partition.reachedEnd();
    partition.skipTo(110);
    partition.change(edited({ timingSequence: 20 }), 20);
    partition.reachedEnd();
    const issued = issueAll(partition, 111);
    for (const { tally, message } of issued) if (message.second > 104) partition.acknowledge(tally);
    expect(partition.watermark).toEqual({ second: 110, jobsSequence: 0 });
  });
});

describe("a partition whose JOBS is replaced by another stream", () => {
  const loaded = () => {
    const partition = holding();
    partition.change(active(), 5);
    partition.reachedEnd();
    for (const { tally } of issueAll(partition, 103)) partition.acknowledge(tally);
    partition.streamReplaced();
    return partition;
  };

  it("publishes on, and repeats nothing of a job that comes again with its timing", () => {
    const partition = loaded();
    expect(seconds(issueAll(partition, 104))).toEqual([104]);
    partition.change(active({ timingSequence: 1 }), 2);
    partition.reachedEnd();
    expect(seconds(issueAll(partition, 105))).toEqual([105]);
  });

  it("owes a timing that it does not know since it took effect, whatever sequence the new stream gives it", () => {
    for (const timingSequence of [1, 2]) {
      const partition = loaded();
      const change = active({ jobId: "other", timingSequence, effectiveFromMs: 101_500 });
      partition.change(change, 2);
      expect(seconds(issueAll(partition, 103))).toEqual([102, 103]);
    }
  });

  it("tells the next owner no sequence before the new stream is filled", () => {
    const partition = loaded();
    expect(partition.watermark?.jobsSequence).toBe(0);
    partition.change(active({ timingSequence: 1 }), 7);
    partition.reachedEnd();
    expect(partition.watermark?.jobsSequence).toBe(0);
    for (const { tally } of issueAll(partition, 104)) partition.acknowledge(tally);
    partition.streamFilled();
    for (const { tally } of issueAll(partition, 105)) partition.acknowledge(tally);
    expect(partition.watermark?.jobsSequence).toBe(7);
  });

  it("forgets what the new stream did not bring, and goes on where it was should it come after all", () => {
    const partition = loaded();
    partition.change(active({ jobId: "other", timingSequence: 1, effectiveFromMs: 200_000_000 }), 1);
    partition.reachedEnd();
    expect(partition.streamFilled()).toBe(1);
    expect(partition.jobs).toBe(1);
    expect(issueAll(partition, 106)).toEqual([]);
    partition.change(active({ timingSequence: 1 }), 9);
    expect(seconds(issueAll(partition, 107))).toEqual([104, 105, 106, 107]);
  });

  it("marks what comes again of a second that it was in the middle of when it forgot a job", () => {
    const partition = holding(inherited, 100, 1);
    partition.change(active({ jobId: "a" }), 5);
    partition.change(active({ jobId: "b" }), 6);
    partition.reachedEnd();
    issueAll(partition, 110);
    partition.streamReplaced();
    expect(partition.nextSecond(111)).toBe(111);
    expect(partition.issue()?.message.mayRepeat).toBe(false);
    partition.change(active({ jobId: "b", timingSequence: 1 }), 1);
    expect(partition.streamFilled()).toBe(1);
    partition.change(active({ jobId: "a", timingSequence: 1 }), 2);
    const rest = issueAll(partition, 111);
    expect(seconds(rest)).toEqual([111, 111]);
    expect(marks(rest)).toEqual([true, true]);
    expect(marks(issueAll(partition, 112))).toEqual([false, false]);
  });

  it("keeps a newer state than the one that a broker which was set back brings again", () => {
    const partition = loaded();
    const [older, newer] = [new Uint8Array([1]), new Uint8Array([2])];
    partition.change(active({ generation: 3, entry: newer }), 6);
    partition.streamReplaced();
    partition.change(active({ generation: 2, entry: older, timingSequence: 1 }), 1);
    expect(issueAll(partition, 104)[0]?.message.entries).toEqual([newer]);
    // The registry publishes the last one once more. What comes after that is a change.
    partition.change(active({ generation: 3, entry: newer, timingSequence: 1 }), 2);
    expect(issueAll(partition, 105)[0]?.message.entries).toEqual([newer]);
  });

  it("takes over from an owner that may not have known of the new stream as if nothing had been seen", () => {
    const partition = holding({ second: 10_000, jobsSequence: 50_000 }, 10_000);
    partition.opened(9_990);
    partition.change(active({ timingSequence: 3, effectiveFromMs: 9_997_500 }), 3);
    partition.reachedEnd();
    expect(seconds(issueAll(partition, 10_001))).toEqual([9_998, 9_999, 10_000, 10_001]);
  });
});
