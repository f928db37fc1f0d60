import { describe, expect, it } from "vitest";
import { SetAside } from "./set-aside.ts";

// Half a second into a second, on both clocks: the monotonic one says nothing of seconds.
const from = 10_500;

describe("what is set aside", () => {
  it("waits until what was due with it is out", () => {
    const aside = new SetAside<string>();
    aside.add("a", 1);
    aside.add("b", 2);
    expect(aside.takeDue(300, from)).toEqual([]);
    expect(aside.takeDue(301, from)).toEqual(["a"]);
    expect(aside.takeDue(302, from)).toEqual(["b"]);
    expect(aside.takeDue(9_999, from)).toEqual([]);
  });

  it("lets the start of a second pass", () => {
    const aside = new SetAside<string>();
    aside.add("a", 0);
    expect(aside.takeDue(400, 11_000)).toEqual([]);
    expect(aside.takeDue(599, 11_199)).toEqual([]);
    expect(aside.takeDue(600, 11_200)).toEqual(["a"]);
  });

  it("is moved a thousand at a time, in its order, and counted until then", () => {
    const aside = new SetAside<number>();
    for (let i = 0; i < 1_500; i++) aside.add(i, 0);
    const first = aside.takeDue(300, from);
    expect(first).toHaveLength(1_000);
    expect(aside.length).toBe(500);
    expect([...first, ...aside.takeDue(310, from)]).toEqual(Array.from({ length: 1_500 }, (_, i) => i));
    expect(aside.length).toBe(0);
  });

  it("comes back whole, whatever its time", () => {
    const aside = new SetAside<number>();
    for (let i = 0; i < 1_500; i++) aside.add(i, 0);
    expect(aside.takeAll()).toHaveLength(1_500);
    expect(aside.length).toBe(0);
    expect(aside.takeDue(9_999, from)).toEqual([]);
  });
});
