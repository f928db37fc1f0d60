import { describe, expect, it } from "vitest";
import { createRetryRoom } from "./retry-room.ts";

const hourMs = 3_600_000;

describe("the room in RETRY", () => {
  it("is everybody's while there is enough of it", () => {
    const room = createRetryRoom();
    room.note("a", 1_000_000, 0, hourMs);
    room.update(7900000, 10_000_000, 1_000);
    expect(room.mayWait("a", hourMs)).toBe(true);
  });

  it("is refused to whoever has more than the share of a target, once it is four fifths full", () => {
    const room = createRetryRoom();
    for (let i = 0; i < 10; i++) room.note("large", 100_000, 0, hourMs);
    for (const origin of ["a", "b", "c"]) room.note(origin, 1_000, 0, hourMs);
    room.update(8100000, 10_000_000, 1_000);
    expect(["large", "a", "b", "c", "new"].map((origin) => room.mayWait(origin, hourMs))).toEqual([
      false,
      true,
      true,
      true,
      true,
    ]);
    room.update(7000000, 10_000_000, 2_000);
    expect(room.mayWait("large", hourMs)).toBe(true);
  });

  it("is refused to the only one that uses it", () => {
    const room = createRetryRoom();
    room.note("a", 1_000_000, 0, hourMs);
    room.update(8100000, 10_000_000, 1_000);
    expect([room.mayWait("a", hourMs), room.mayWait("b", hourMs)]).toEqual([false, true]);
  });

  it("is left to those of whom hardly anything waits, also where nobody knows what filled it: this process may have begun only now", () => {
    const room = createRetryRoom();
    room.update(8_500_000, 10_000_000, 1_000);
    for (const origin of ["a", "b"]) room.note(origin, 1_000, 1_000, hourMs);
    room.update(8_502_000, 10_000_000, 2_000);
    expect([room.mayWait("a", hourMs), room.mayWait("b", hourMs)]).toEqual([true, true]);
  });

  it("is nobody's when it is all but full, also where this process has put nothing there", () => {
    const room = createRetryRoom();
    room.update(9100000, 10_000_000, 1_000);
    expect(room.mayWait("a", hourMs)).toBe(false);
    room.update(8900000, 10_000_000, 2_000);
    expect(room.mayWait("a", hourMs)).toBe(true);
  });

  it("is refused to who fills it before anybody has told how full it is, and leaves the rest to others", () => {
    const room = createRetryRoom();
    room.update(7_000_000, 10_000_000, 1_000);
    room.note("small", 1_000, 1_000, hourMs);
    for (let i = 0; i < 100 && room.mayWait("large", hourMs); i++) room.note("large", 100_000, 1_000, hourMs);
    room.update(8_100_000, 10_000_000, 2_000);
    expect([room.mayWait("large", hourMs), room.mayWait("small", hourMs)]).toEqual([false, true]);
    for (let i = 0; i < 100 && room.mayWait("new", hourMs); i++) room.note("new", 100_000, 2_000, hourMs);
    expect(room.mayWait("small", hourMs)).toBe(false);
  });

  it("keeps the last of it for those that wait shortly and have little there, also after a restart", () => {
    const room = createRetryRoom();
    // Of what others, or this process before it was started again, have put there nothing is known.
    room.update(9_600_000, 10_000_000, 1_000);
    expect([room.mayWait("hours", hourMs), room.mayWait("flaky", 50)]).toEqual([false, true]);
    for (let i = 0; i < 3; i++) {
      room.note("flaky", 1_000, 1_000 * i, 1_000 * i + 50);
      room.update(9_600_000, 10_000_000, 1_000 * i);
      expect(room.mayWait("flaky", 50)).toBe(true);
    }
    for (let i = 0; i < 2; i++) room.note("large", 100_000, 1_000, 1_050);
    expect(room.mayWait("large", 50)).toBe(false);
  });

  it("is not filled by many that each ask for hours: those that wait shortly are still taken in", () => {
    const room = createRetryRoom();
    room.update(0, 10_000_000, 1_000);
    for (let i = 0; i < 1_000; i++) {
      const origin = `bad ${i % 20}`;
      if (room.mayWait(origin, hourMs)) room.note(origin, 130_000, 1_000, hourMs);
    }
    expect([room.mayWait("new", hourMs), room.mayWait("flaky", 50)]).toEqual([false, true]);
  });

  it("is without a bound where RETRY has none", () => {
    const room = createRetryRoom();
    room.update(1_000_000_000, -1, 1_000);
    expect(room.mayWait("a", hourMs)).toBe(true);
  });

  it("counts what waits still, and no more what was due: within an eighth of its wait", () => {
    const room = createRetryRoom();
    room.note("short", 1_000_000, 0, 60_000);
    room.note("long", 10_000, 0, 10 * hourMs);
    room.note("small", 10, 0, 10 * hourMs);
    room.update(9000000, 10_000_000, 59_000);
    expect([room.mayWait("short", hourMs), room.mayWait("long", hourMs)]).toEqual([false, true]);
    room.update(9000000, 10_000_000, 60_000 + 60_000 / 8 + 8_000);
    expect([room.mayWait("short", hourMs), room.mayWait("long", hourMs), room.mayWait("small", hourMs)]).toEqual([
      true,
      false,
      true,
    ]);
    room.update(9000000, 10_000_000, 10 * hourMs - 1);
    expect(room.mayWait("long", hourMs)).toBe(false);
    room.update(9000000, 10_000_000, 12 * hourMs);
    expect(room.mayWait("long", hourMs)).toBe(true);
  });

  it("takes a retry that is due at once, or was", () => {
    const room = createRetryRoom();
    room.note("a", 10_000, 5_000, 5_000);
    room.note("a", 10_000, 5_000, 4_000);
    room.update(9000000, 10_000_000, 5_000);
    expect(room.mayWait("a", hourMs)).toBe(false);
    room.update(9000000, 10_000_000, 30_000);
    expect(room.mayWait("a", hourMs)).toBe(true);
  });
});
