import { describe, expect, it } from "vitest";
import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import { systemClock } from "../../platform/process/clock.ts";
import { createLog } from "../../platform/process/log.ts";
import { createSettlements } from "./settlements.ts";

/** A message that notes what is done to it. The broker side of this is in test/integration. */
function messageOf(seq: number, options: { redelivered?: boolean; storedAtNanos?: number } = {}) {
  const calls: string[] = [];
  const message = {
    seq,
    data: new Uint8Array(10),
    redelivered: options.redelivered === true,
    storedAtNanos: options.storedAtNanos ?? 1,
    stream: "DUE",
    ack: () => calls.push("ack"),
    nak: (delayMs?: number) => calls.push(delayMs === undefined ? "nak" : `nak ${delayMs}`),
    working: () => calls.push("working"),
    term: () => calls.push("term"),
  };
  return { message: message as unknown as WorkMessage, calls };
}

const create = () => createSettlements({ clock: systemClock, log: createLog("test", "silent") });

describe("settlements", () => {
  it("acknowledge a message once its last occurrence is settled", () => {
    const settlements = create();
    const { message, calls } = messageOf(1);
    const settlement = settlements.take(message, 3);
    settlement?.done();
    settlement?.done();
    expect(calls).toEqual([]);
    settlement?.done();
    expect(calls).toEqual(["ack"]);
    expect(settlements.pending()).toBe(0);
  });

  it("give a message back when what settles one of its occurrences was refused, after the others are done with", () => {
    const { message, calls } = messageOf(1);
    const settlement = create().take(message, 2);
    settlement?.refused();
    expect(calls).toEqual([]);
    settlement?.done();
    expect(calls).toEqual(["nak 5000"]);
  });

  it("do not begin again what is in work, and acknowledge its newest delivery", () => {
    const settlements = create();
    const [first, again] = [messageOf(1), messageOf(1, { redelivered: true })];
    const settlement = settlements.take(first.message, 1);
    expect(settlements.take(again.message, 1)).toBeUndefined();
    settlement?.done();
    expect([first.calls, again.calls]).toEqual([[], ["ack"]]);
  });

  it("acknowledge again what comes again because its acknowledgement got lost", () => {
    const settlements = create();
    settlements.take(messageOf(1).message, 1)?.done();
    const again = messageOf(1, { redelivered: true });
    expect(settlements.take(again.message, 1)).toBeUndefined();
    expect(again.calls).toEqual(["ack"]);
  });

  it("take a message of a stream that was made anew for what it is", () => {
    const settlements = create();
    settlements.take(messageOf(1).message, 1)?.done();
    expect(settlements.take(messageOf(1, { redelivered: true, storedAtNanos: 2 }).message, 1)).toBeDefined();
  });

  it("acknowledge nothing that was given back", () => {
    const settlements = create();
    const [one, all] = [messageOf(1), messageOf(2)];
    const first = settlements.take(one.message, 1);
    const second = settlements.take(all.message, 1);
    first?.giveBack();
    expect(settlements.giveBack()).toBe(1);
    first?.done();
    second?.done();
    expect([one.calls, all.calls]).toEqual([["nak"], ["nak"]]);
  });

  it("count what their messages take in memory, until each is settled or given back", () => {
    const settlements = create();
    const [first, second] = [1, 2, 3].map((seq) => settlements.take(messageOf(seq).message, 1));
    expect(settlements.bytes()).toBe(30);
    first?.done();
    second?.giveBack();
    expect(settlements.bytes()).toBe(10);
    settlements.giveBack();
    expect(settlements.bytes()).toBe(0);
  });
});
