import { describe, expect, it } from "vitest";
import { Deferrals } from "./deferrals.ts";

const deferralsOf = (...added: readonly (readonly [message: string, stream: string])[]) => {
  const deferrals = new Deferrals<string>();
  for (const [message, stream] of added) deferrals.add(message, stream);
  return deferrals;
};

describe("what streams could not take", () => {
  it("follows two by two, the oldest first, what its own stream has taken", () => {
    const deferrals = deferralsOf(["a", "S"], ["x", "T"], ["b", "S"], ["c", "S"]);
    expect(deferrals.taken("U")).toEqual([]);
    expect(deferrals.taken("S")).toEqual(["a", "b"]);
    expect(deferrals.taken("S")).toEqual(["c"]);
    expect(deferrals.taken("S")).toEqual([]);
    expect(deferrals.taken("T")).toEqual(["x"]);
  });

  it("asks with one message a stream", () => {
    const deferrals = deferralsOf(["a", "S"], ["x", "T"], ["b", "S"]);
    expect(deferrals.probes()).toEqual(["a", "x"]);
    expect(deferrals.probes()).toEqual(["b"]);
    expect(deferrals.probes()).toEqual([]);
  });

  it("stands there once, until it goes out again", () => {
    const deferrals = deferralsOf(["a", "S"], ["a", "S"], ["b", "S"]);
    expect([deferrals.has("a"), deferrals.has("c")]).toEqual([true, false]);
    expect(deferrals.probes()).toEqual(["a"]);
    expect(deferrals.has("a")).toBe(false);
    deferrals.add("a", "S");
    expect(deferrals.taken("S")).toEqual(["b", "a"]);
  });

  it("is forgotten when all of it goes out again", () => {
    const deferrals = deferralsOf(["a", "S"]);
    deferrals.clear();
    expect([deferrals.has("a"), deferrals.probes()]).toEqual([false, []]);
  });
});
