import { describe, expect, it } from "vitest";
import { createProgress } from "../../../services/launcher/setup/progress.mjs";

/** A clock that stands still until it is turned. */
const handClock = () => {
  let nowMs = 0;
  let due: { atMs: number; callback: () => void }[] = [];
  return {
    monotonicMs: () => nowMs,
    after(delayMs: number, callback: () => void) {
      const timer = { atMs: nowMs + delayMs, callback };
      due.push(timer);
      return () => {
        due = due.filter((other) => other !== timer);
      };
    },
    turnTo(ms: number) {
      for (;;) {
        const next = due.filter(({ atMs }) => atMs <= ms).sort((a, b) => a.atMs - b.atMs)[0];
        if (!next) break;
        due = due.filter((other) => other !== next);
        nowMs = next.atMs;
        next.callback();
      }
      nowMs = ms;
    },
  };
};

const rig = (terminal: boolean, columns = 80) => {
  const clock = handClock();
  const written: string[] = [];
  const progress = createProgress({ write: (text) => written.push(text), terminal, columns: () => columns, clock });
  return { clock, written, progress, text: () => written.join("") };
};

describe("the progress of a start", () => {
  it("off a terminal is a plain line every two seconds, counted from the last word, whoever's step it is", () => {
    const { clock, progress, written } = rig(false);
    const first = progress.begin("installing", "0 of 3");
    clock.turnTo(1_500);
    first.end();
    const second = progress.begin("starting");
    first.end();
    clock.turnTo(2_100);
    expect(written).toEqual(["starting (0 s)\n"]);
    clock.turnTo(3_000);
    progress.write("a line of a log\n");
    second.say("registry");
    clock.turnTo(5_100);
    expect(written.slice(1)).toEqual(["a line of a log\n", "starting: registry (3 s)\n"]);
    second.end();
    clock.turnTo(60_000);
    expect(written).toHaveLength(3);
  });

  it("on a terminal is one line that moves, stays below what is written, and is gone at the end", () => {
    const { clock, progress, written, text } = rig(true);
    const step = progress.begin("installing");
    expect(text()).toBe("⠋ installing (0 s)");
    clock.turnTo(120);
    expect(written.at(-1)).toBe("\r\u001b[2K⠙ installing (0 s)");
    progress.write("a line\n");
    expect(written.slice(-3)).toEqual(["\r\u001b[2K", "a line\n", "⠹ installing (0 s)"]);
    progress.aside(() => written.push("another\n"));
    expect(written.slice(-3)).toEqual(["\r\u001b[2K", "another\n", "⠸ installing (0 s)"]);
    step.end();
    step.end();
    expect(written.at(-1)).toBe("\r\u001b[2K");
    const length = written.length;
    clock.turnTo(10_000);
    expect(written).toHaveLength(length);
  });

  it("never wraps", () => {
    const { progress, text } = rig(true, 10);
    progress.begin("a label that is long");
    expect(text()).toBe("⠋ a label");
  });
});
