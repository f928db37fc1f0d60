import { describe, expect, it } from "vitest";
import { PartitionProgress, type Tally } from "./partition-progress.ts";

const watermark = { second: 100, jobsSequence: 5 };

/** Issues one batch and nothing more. */
function issue(progress: PartitionProgress, second: number | undefined, jobsSequence = 5, occurrences = 1): Tally {
  const tally = progress.begin(second, jobsSequence);
  progress.issued(tally, occurrences);
  progress.close(tally);
  return tally;
}

function acknowledge(progress: PartitionProgress, ...tallies: Tally[]): void {
  for (const tally of tallies) progress.acknowledged(tally);
  progress.advance();
}

describe("the watermark", () => {
  it("stays before the first second that is not acknowledged, in whatever order the others are", () => {
    const progress = new PartitionProgress(watermark);
    const [a, b, c] = [issue(progress, 101), issue(progress, 102), issue(progress, 103)];
    acknowledge(progress, c);
    expect(progress.watermark?.second).toBe(100);
    acknowledge(progress, a);
    expect(progress.watermark?.second).toBe(101);
    expect(progress.idle).toBe(false);
    acknowledge(progress, b);
    expect(progress.watermark?.second).toBe(103);
    expect(progress.idle).toBe(true);
  });

  it("waits for each batch of a second", () => {
    const progress = new PartitionProgress(watermark);
    const tally = progress.begin(101, 5);
    progress.issued(tally, 100);
    progress.issued(tally, 20);
    progress.close(tally);
    acknowledge(progress, tally);
    expect(progress.watermark?.second).toBe(100);
    acknowledge(progress, tally);
    expect(progress.watermark?.second).toBe(101);
    expect(progress.published).toBe(120);
  });

  it("waits for a second of which more is to be issued, though all so far is acknowledged", () => {
    const progress = new PartitionProgress(watermark);
    const open = progress.begin(101, 5);
    progress.issued(open, 1);
    acknowledge(progress, open);
    expect(progress.watermark?.second).toBe(100);
    progress.close(open);
    progress.advance();
    expect(progress.watermark?.second).toBe(101);
  });

  it("is held back by late occurrences and never moved by them", () => {
    const progress = new PartitionProgress(watermark);
    const [before, late, after] = [issue(progress, 101, 5, 7), issue(progress, undefined, 9, 3), issue(progress, 102)];
    acknowledge(progress, before, after);
    expect(progress.watermark).toEqual({ second: 101, jobsSequence: 5 });
    acknowledge(progress, late);
    expect(progress.watermark?.second).toBe(102);
    const lateAgain = issue(progress, undefined, 9, 3);
    acknowledge(progress, lateAgain);
    expect([progress.watermark?.second, progress.published]).toEqual([102, 1]);
  });

  it("names the sequence under which its second was begun, not a later one", () => {
    const progress = new PartitionProgress(watermark);
    const tally = issue(progress, 101, 6);
    issue(progress, 102, 7);
    acknowledge(progress, tally);
    expect(progress.watermark).toEqual({ second: 101, jobsSequence: 6 });
  });

  it("moves over seconds in which nothing was due, and counts nothing for them", () => {
    const progress = new PartitionProgress(watermark);
    acknowledge(progress, issue(progress, 101, 5, 4));
    progress.close(progress.begin(105, 5));
    progress.advance();
    expect([progress.watermark?.second, progress.published]).toEqual([105, 0]);
  });

  it("is unknown until something is published or nothing waits", () => {
    const progress = new PartitionProgress(undefined);
    progress.advance();
    expect(progress.watermark).toBeUndefined();
    progress.rest(90, 0);
    expect(progress.watermark).toEqual({ second: 90, jobsSequence: 0 });
  });
});

describe("a partition at rest", () => {
  it("names the newest sequence, and keeps the count of its second", () => {
    const progress = new PartitionProgress(watermark);
    acknowledge(progress, issue(progress, 101, 5, 4));
    progress.rest(101, 8);
    expect([progress.watermark, progress.published]).toEqual([{ second: 101, jobsSequence: 8 }, 4]);
    progress.rest(103, 8);
    expect([progress.watermark, progress.published]).toEqual([{ second: 103, jobsSequence: 8 }, 0]);
  });

  it("is not at rest while something is not acknowledged", () => {
    const progress = new PartitionProgress(watermark);
    issue(progress, 101);
    progress.rest(101, 8);
    expect(progress.watermark).toEqual(watermark);
  });
});

describe("progress that is rewound", () => {
  it("takes no acknowledgement of a second behind which it went back", () => {
    const progress = new PartitionProgress(watermark);
    const [kept, gone] = [issue(progress, 101), issue(progress, 103)];
    progress.rewind(102);
    acknowledge(progress, gone);
    expect([progress.watermark?.second, progress.idle]).toEqual([100, false]);
    acknowledge(progress, kept);
    expect([progress.watermark?.second, progress.idle]).toEqual([101, true]);
    const again = issue(progress, 103);
    expect(progress.watermark?.second).toBe(101);
    acknowledge(progress, again);
    expect(progress.watermark?.second).toBe(103);
  });

  it("goes back with its watermark and keeps its sequence, and never forward", () => {
    const progress = new PartitionProgress(watermark);
    acknowledge(progress, issue(progress, 110, 6, 9));
    progress.rewind(105);
    expect([progress.watermark, progress.published]).toEqual([{ second: 105, jobsSequence: 6 }, 0]);
    progress.rewind(107);
    expect(progress.watermark?.second).toBe(105);
  });

  it("still waits for late occurrences that are under way", () => {
    const progress = new PartitionProgress(watermark);
    const late = issue(progress, undefined);
    progress.rewind(50);
    expect(progress.idle).toBe(false);
    acknowledge(progress, late);
    expect(progress.idle).toBe(true);
  });
});

describe("progress whose JOBS is replaced", () => {
  it("forgets the sequences of the old stream, also of what is under way", () => {
    const progress = new PartitionProgress(watermark);
    const underWay = issue(progress, 101, 6);
    progress.forgetSequences();
    expect(progress.watermark).toEqual({ second: 100, jobsSequence: 0 });
    const after = issue(progress, 102, 2);
    acknowledge(progress, underWay);
    expect(progress.watermark).toEqual({ second: 101, jobsSequence: 0 });
    acknowledge(progress, after);
    expect(progress.watermark).toEqual({ second: 102, jobsSequence: 2 });
  });

  it("trusts a sequence of an owner that must have noticed the new stream", () => {
    const progress = new PartitionProgress(watermark);
    expect([progress.sequenceHolds(40), progress.sequenceHolds(41)]).toEqual([true, false]);
    expect(new PartitionProgress(undefined).sequenceHolds(1_000)).toBe(true);
  });
});
