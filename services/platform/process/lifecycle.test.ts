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

  it("are not started any more once a stop has come, and the one that was starting is stopped", async () => {
    const events: string[] = [];
    const begun = Promise.withResolvers<void>();
    const slow = part("slow", events);
    const held = {
      ...slow,
      async start() {
        await slow.start();
        await begun.promise;
      },
    };
    const service = startInOrder([held, part("next", events)]);
    const starting = service.start();
    await service.stop();
    begun.resolve();
    await starting;
    expect(events).toEqual(["start slow", "stop slow"]);
  });

  it("stop all the same when one of them fails to", async () => {
    const events: string[] = [];
    const service = startInOrder([part("a", events), part("b", events, "stop")]);
    await service.start();
    await expect(service.stop()).rejects.toThrow("stopping failed");
    expect(events.slice(2)).toEqual(["stop b", "stop a"]);
  });
});
