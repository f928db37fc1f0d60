import { describe, expect, it } from "vitest";
import { type EndedTiming, PartitionAgenda } from "./partition-agenda.ts";

const everySecond = { key: "every-1", nextAfter: (second: number) => second + 1 };
const forever = Number.POSITIVE_INFINITY;
const never = Number.NEGATIVE_INFINITY;

function agendaFrom(horizon = 100, mayRepeatUntil = 0, entries = 100): PartitionAgenda {
  return new PartitionAgenda({ horizon, mayRepeatUntil, limits: { entries, bytes: 1_000_000 } });
}

/** Puts a job in that owes nothing late, unless it says since when. */
function put(to: PartitionAgenda, jobId: string, owedAfterMs = forever): void {
  const entry = new Uint8Array(1);
  to.put(
    { jobId, entry, generation: 1, timingGeneration: 1, effectiveFromMs: 0, occurrences: everySecond },
    { afterMs: owedAfterMs, ended: [], untilMs: undefined },
  );
}

/** Puts a job in whose timing before, due each second as well, an edit has ended. */
function edit(to: PartitionAgenda, jobId: string, ended: Partial<EndedTiming> = {}, untilMs?: number): void {
  const timing = { occurrences: everySecond, effectiveFromMs: 0, untilMs: 100_500, owedAfterMs: forever, ...ended };
  to.put(
    {
      jobId,
      entry: new Uint8Array(2),
      generation: 2,
      timingGeneration: 2,
      effectiveFromMs: forever,
      occurrences: never1,
    },
    { afterMs: forever, ended: [timing], untilMs },
  );
}
const never1 = { key: "never", nextAfter: () => undefined };

/** The seconds of all pieces up to a target, with their marks. */
function take(from: PartitionAgenda, target: number): [number | undefined, boolean][] {
  const taken: [number | undefined, boolean][] = [];
  while (from.nextSecond(target) !== undefined) {
    const piece = from.next();
    if (piece) taken.push([piece.batch?.second, piece.mayRepeat]);
  }
  return taken;
}
const seconds = (taken: [number | undefined, boolean][]) => taken.map(([second]) => second);

describe("an agenda", () => {
  it("hands out each due second up to the target, and none beyond it", () => {
    const agenda = agendaFrom();
    put(agenda, "job");
    expect(seconds(take(agenda, 103))).toEqual([101, 102, 103]);
    expect([agenda.horizon, agenda.nextSecond(103), agenda.nextSecond(104)]).toEqual([103, undefined, 104]);
  });

  it("hands out late occurrences first, whatever the target: strictly after they are owed, up to the horizon", () => {
    const agenda = agendaFrom();
    put(agenda, "on-time");
    put(agenda, "late", 97_999);
    expect([agenda.late, agenda.nextSecond(never)]).toEqual([true, 98]);
    expect(seconds(take(agenda, never))).toEqual([98, 99, 100]);
    expect([agenda.late, agenda.horizon]).toEqual([false, 100]);
    expect(seconds(take(agenda, 101))).toEqual([101]);
  });

  it("says which second a piece completes: none for late ones", () => {
    const agenda = agendaFrom();
    put(agenda, "late", 99_000);
    expect([agenda.next()?.second, agenda.next()?.second]).toEqual([undefined, 101]);
  });

  it("cuts a second into batches, stays with it until the last one, and goes on with it beyond the target", () => {
    const agenda = agendaFrom(100, 0, 2);
    for (const jobId of ["a", "b", "c", "d", "e"]) put(agenda, jobId);
    const pieces = [agenda.next(), agenda.next()];
    expect([agenda.cutting, agenda.nextSecond(never)]).toEqual([true, 101]);
    // It comes after what is begun.
    put(agenda, "late", 99_000);
    pieces.push(agenda.next());
    expect(pieces.map((piece) => [piece?.batch?.entries.length, piece?.last])).toEqual([
      [2, false],
      [2, false],
      [1, true],
    ]);
    expect([agenda.cutting, agenda.nextSecond(never)]).toEqual([false, 100]);
  });

  it("hands out nothing of a job that is taken out, not even what was late", () => {
    const agenda = agendaFrom();
    put(agenda, "job", 98_000);
    agenda.remove("job");
    expect(agenda.next()).toMatchObject({ batch: undefined, last: true });
    expect([agenda.late, agenda.nextSecond(forever), agenda.next()]).toEqual([false, undefined, undefined]);
  });

  it("knows up to where nothing waits to be handed out", () => {
    const agenda = agendaFrom(100, 0, 1);
    put(agenda, "a");
    put(agenda, "b");
    expect(agenda.issuedUntil).toBe(100);
    agenda.next();
    expect(agenda.issuedUntil).toBe(100);
    agenda.next();
    expect(agenda.issuedUntil).toBe(101);
    put(agenda, "late", 95_000);
    expect(agenda.issuedUntil).toBe(95);
    agenda.next();
    expect(agenda.issuedUntil).toBe(96);
  });

  it("marks what an owner before may have published, and what is marked later, and nothing else", () => {
    const agenda = agendaFrom(100, 101);
    put(agenda, "job");
    expect(take(agenda, 103).map(([, mark]) => mark)).toEqual([true, false, false]);
    agenda.markRepeats();
    put(agenda, "late", 101_000);
    expect(take(agenda, 104).map(([, mark]) => mark)).toEqual([true, true, false]);
    const ahead = agendaFrom(100, 200);
    ahead.markRepeats();
    put(ahead, "job");
    expect(take(ahead, 101)).toEqual([[101, true]]);
  });
});

describe("an agenda that is rewound", () => {
  it("hands out again what comes after the second, marked", () => {
    const agenda = agendaFrom();
    put(agenda, "job");
    take(agenda, 105);
    agenda.rewind(103);
    expect(agenda.horizon).toBe(103);
    expect(take(agenda, 106)).toEqual([
      [104, true],
      [105, true],
      [106, false],
    ]);
  });

  it("drops what it is cutting of a later second, and finishes an earlier one", () => {
    const agenda = agendaFrom(100, 0, 1);
    put(agenda, "a");
    put(agenda, "b");
    agenda.next();
    agenda.rewind(100);
    expect(agenda.cutting).toBe(false);
    expect(seconds(take(agenda, 101))).toEqual([101, 101]);
    put(agenda, "late", 98_000);
    agenda.next();
    agenda.rewind(99);
    expect([agenda.cutting, agenda.nextSecond(never)]).toEqual([false, undefined]);
    expect(seconds(take(agenda, 100))).toEqual([100, 100, 100]);
  });

  it("keeps late occurrences up to the second, and leaves those after it to their second", () => {
    const agenda = agendaFrom();
    put(agenda, "late", 95_000);
    agenda.rewind(97);
    expect(seconds(take(agenda, never))).toEqual([96, 97]);
    expect(seconds(take(agenda, 99))).toEqual([98, 99]);
  });
});

describe("an agenda whose jobs are edited", () => {
  it("hands out what ended timings owe behind the horizon, and what lies ahead in its turn", () => {
    const agenda = agendaFrom();
    edit(agenda, "job", { owedAfterMs: 97_500, untilMs: 103_999 });
    expect([agenda.late, seconds(take(agenda, 100)), agenda.late]).toEqual([true, [98, 99, 100], false]);
    expect(agenda.issuedUntil).toBe(100);
    put(agenda, "other");
    expect(seconds(take(agenda, 102))).toEqual([101, 101, 102, 102]);
    expect([agenda.nextSecond(never), seconds(take(agenda, 105))]).toEqual([undefined, [103, 103, 104, 105]]);
  });

  it("hands out late occurrences of the timing before as far as it was owed, with the newest entry", () => {
    const agenda = agendaFrom();
    put(agenda, "job", 95_000);
    edit(agenda, "job", { untilMs: 98_000 }, 98_000);
    const entries: [number, number][] = [];
    for (let piece = agenda.next(); piece; piece = agenda.next()) {
      for (const entry of piece.batch?.entries ?? []) entries.push([piece.batch?.second ?? 0, entry.length]);
    }
    expect(entries).toEqual([
      [96, 2],
      [97, 2],
      [98, 2],
    ]);
  });

  it("hands out nothing of before a pause", () => {
    const agenda = agendaFrom();
    put(agenda, "job", 95_000);
    edit(agenda, "job", {});
    expect(take(agenda, 105).filter(([second]) => second !== undefined)).toEqual([]);
  });

  it("goes on with the second that it is cutting, as far as the timing before was owed", () => {
    const rest = (untilMs: number) => {
      const agenda = agendaFrom(100, 0, 1);
      put(agenda, "a");
      put(agenda, "b");
      agenda.next();
      for (const jobId of ["a", "b"]) edit(agenda, jobId, {}, untilMs);
      return agenda.next()?.batch?.entries.map(({ length }) => length);
    };
    expect([rest(101_000), rest(100_999)]).toEqual([[2], undefined]);
  });

  it("passes ended timings again when it is rewound, marked, each once", () => {
    const agenda = agendaFrom();
    put(agenda, "job");
    take(agenda, 105);
    edit(agenda, "job", { effectiveFromMs: 101_000, untilMs: 104_999 }, 104_999);
    agenda.rewind(99);
    expect(take(agenda, 106)).toEqual([102, 103, 104].map((second) => [second, true]));
    agenda.rewind(103);
    expect(take(agenda, 106)).toEqual([[104, true]]);
    agenda.remove("job");
    agenda.rewind(99);
    expect(take(agenda, 106).filter(([second]) => second !== undefined)).toEqual([]);
  });

  it("marks what it passes again ahead of its horizon", () => {
    const agenda = agendaFrom();
    edit(agenda, "job", { untilMs: 103_000, owedAfterMs: 100_000 });
    agenda.rewind(99);
    expect(take(agenda, 110)).toEqual([100, 101, 102, 103].map((second) => [second, true]));
  });

  it("forgets ended timings after ten minutes", () => {
    const rewound = (horizon: number) => {
      const agenda = agendaFrom();
      edit(agenda, "job", { untilMs: 100_000 });
      put(agenda, "other");
      agenda.rewind(99);
      agenda.skipTo(99);
      take(agenda, horizon);
      agenda.rewind(99);
      return seconds(take(agenda, 100)).length;
    };
    expect([rewound(700), rewound(702)]).toEqual([2, 1]);
  });
});
