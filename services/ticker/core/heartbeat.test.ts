import { describe, expect, it } from "vitest";
import { Heartbeat } from "./heartbeat.ts";

const at = (monotonicMs: number) => ({ wallMs: 0, monotonicMs });

function confirmed(): Heartbeat {
  const heartbeat = new Heartbeat(2_000);
  heartbeat.sent(at(0), 1, 100);
  heartbeat.answered(1, true);
  return heartbeat;
}

describe("the heartbeat", () => {
  it("is not to be trusted when a tick stays unacknowledged for two seconds", () => {
    const heartbeat = confirmed();
    heartbeat.sent(at(500), 2, 101);
    expect(heartbeat.trusted(at(2_500))).toBe(true);
    expect(heartbeat.trusted(at(2_501))).toBe(false);
  });

  it("is not to be trusted after the process stood still", () => {
    expect(confirmed().trusted(at(3_001))).toBe(false);
  });

  it("is worth what it was when it was sent, however late the answer comes", () => {
    const heartbeat = confirmed();
    heartbeat.sent(at(500), 2, 101);
    heartbeat.answered(2, true);
    heartbeat.fence();
    heartbeat.lift(at(9_000));
    expect(heartbeat.fenced).toBe(true);
  });

  it("sends one tick a second, one at a time, and a sign of life when the second takes longer", () => {
    const heartbeat = confirmed();
    expect(heartbeat.due(at(900), 100, true)).toBe(false);
    expect(heartbeat.due(at(1_000), 101, true)).toBe(true);
    expect(heartbeat.due(at(1_000), 101, false)).toBe(false);
    expect(heartbeat.due(at(1_250), 101, false)).toBe(true);
    heartbeat.sent(at(1_250), 2, 101);
    expect(heartbeat.due(at(2_600), 102, true)).toBe(false);
  });
});
