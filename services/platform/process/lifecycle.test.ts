import { describe, expect, it } from "vitest";
import { startInOrder } from "./lifecycle.ts";

function part(name: string, events: string[], failing?: "start" | "stop") {
  return {
    start: async () => {
      events.push(`start ${name}`);
      if (failing === "start") throw new Error(`${name} does not start`);
    },
    stop: async () => {
      events.push(`stop ${name}`);
      if (failing === "stop") throw new Error(`${name} does not stop`);
    },
  };
}

describe("parts in order", () => {
  it("start one after the other and stop in reverse, each once", async () => {
    const events: string[] = [];
    const service = startInOrder([part("a", events), part("b", events)]);
    await Promise.all([service.start(), service.start()]);
    await Promise.all([service.stop(), service.stop()]);
    expect(events).toEqual(["start a", "start b", "stop b", "stop a"]);
  });

  it("stop again when a later one does not start", async () => {
    const events: string[] = [];
    const service = startInOrder([part("a", events), part("b", events, "start"), part("c", events)]);
    await expect(service.start()).rejects.toThrow("b does not start");
    expect(events).toEqual(["start a", "start b", "stop b", "stop a"]);
  });

  it("stop all the same when one of them fails to", async () => {
    const events: string[] = [];
    const service = startInOrder([part("a", events), part("b", events, "stop")]);
    await service.start();
    await expect(service.stop()).rejects.toThrow("stopping failed");
    expect(events.slice(2)).toEqual(["stop b", "stop a"]);
  });
});
