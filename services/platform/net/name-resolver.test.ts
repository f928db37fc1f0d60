import { describe, expect, it } from "vitest";
import { createNameResolver } from "./name-resolver.ts";
import type { NameServers, ServerAnswer } from "./name-servers.ts";

const turn = () => new Promise<void>((done) => setImmediate(done));
const found = (address: string, ttlSeconds = 60): ServerAnswer => ({
  kind: "addresses",
  addresses: [{ address, family: 4 }],
  ttlSeconds,
});
const none: ServerAnswer = { kind: "none", code: "ENOTFOUND" };
const silent: ServerAnswer = { kind: "silent", code: "ETIMEOUT" };

/** A resolver over name servers that answer when the test says so, and a clock that the test turns. */
function setUp() {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; callback: () => void }>();
  const asked: { name: string; answer: (answer: ServerAnswer) => Promise<void> }[] = [];
  const servers: NameServers = {
    local: async (name) => (name === "box" ? [{ address: "127.0.0.9", family: 4 }] : []),
    ask: (name) =>
      new Promise((resolve) => {
        asked.push({
          name,
          async answer(answer) {
            resolve(answer);
            await turn();
          },
        });
      }),
  };
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs: number, callback: () => void) {
      const timer = { atMs: nowMs + delayMs, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  return {
    resolver: createNameResolver(servers, { clock }),
    asked,
    async pass(ms: number) {
      nowMs += ms;
      for (const timer of [...timers]) {
        if (timer.atMs > nowMs) continue;
        timers.delete(timer);
        timer.callback();
      }
      await turn();
    },
    timers: () => timers.size,
  };
}

/** The address that a look-up gives, or why it fails; what it is while it waits is "waiting". */
function follow(lookup: Promise<readonly { address: string }[]>) {
  const state = { now: "waiting" };
  lookup.then(
    (addresses) => {
      state.now = addresses.map(({ address }) => address).join(" ");
    },
    (error) => {
      state.now = error.reason;
    },
  );
  return state;
}

describe("a name resolver", () => {
  it("asks for a name once, however many want to know", async () => {
    const { resolver, asked } = setUp();
    const all = [1, 2, 3].map(() => follow(resolver.resolve("Web.Example")));
    await turn();
    expect(asked.map(({ name }) => name)).toEqual(["web.example"]);
    await asked[0]?.answer(found("10.0.0.1"));
    expect(all.map(({ now }) => now)).toEqual(["10.0.0.1", "10.0.0.1", "10.0.0.1"]);
  });

  it("believes the machine itself first, and asks nobody then", async () => {
    const { resolver, asked } = setUp();
    expect(await resolver.resolve("box")).toEqual([{ address: "127.0.0.9", family: 4 }]);
    expect(asked).toEqual([]);
  });

  it.each([
    [0, 1_000],
    [60, 60_000],
    [86_400, 300_000],
  ])("remembers an answer with a TTL of %i s for %i ms", async (ttlSeconds, spanMs) => {
    const { resolver, asked, pass } = setUp();
    void resolver.resolve("web");
    await turn();
    await asked[0]?.answer(found("10.0.0.1", ttlSeconds));
    await pass(spanMs - 1);
    await resolver.resolve("web");
    expect(asked).toHaveLength(1);
    await pass(1);
    const next = follow(resolver.resolve("web"));
    await turn();
    expect(asked).toHaveLength(2);
    await asked[1]?.answer(found("10.0.0.2", ttlSeconds));
    expect(next.now).toBe("10.0.0.2");
  });

  it("remembers that a name does not exist for some seconds", async () => {
    const { resolver, asked, pass } = setUp();
    const first = follow(resolver.resolve("gone"));
    await turn();
    await asked[0]?.answer(none);
    expect(first.now).toBe("NOT_FOUND");
    await pass(4_999);
    await expect(resolver.resolve("gone")).rejects.toMatchObject({ reason: "NOT_FOUND", hostname: "gone" });
    expect(asked).toHaveLength(1);
    await pass(1);
    follow(resolver.resolve("gone"));
    await turn();
    expect(asked).toHaveLength(2);
  });

  it("asks ever more rarely where nobody answers, and as before once somebody does", async () => {
    const { resolver, asked, pass } = setUp();
    const holdOffs = [5_000, 10_000, 20_000, 40_000, 60_000, 60_000];
    for (const [n, holdOffMs] of holdOffs.entries()) {
      const lookup = follow(resolver.resolve("mute"));
      await turn();
      await asked[n]?.answer(silent);
      expect(lookup.now).toBe("NO_ANSWER");
      await pass(holdOffMs - 1);
      await expect(resolver.resolve("mute")).rejects.toMatchObject({ reason: "NO_ANSWER" });
      expect(asked).toHaveLength(n + 1);
      await pass(1);
    }
    const lookup = follow(resolver.resolve("mute"));
    await turn();
    await asked[holdOffs.length]?.answer(found("10.0.0.1", 1));
    expect(lookup.now).toBe("10.0.0.1");
  });

  it("uses the address that it knew while nobody answers, for an hour, without waiting for each call", async () => {
    const { resolver, asked, pass, timers } = setUp();
    void resolver.resolve("web");
    await turn();
    await asked[0]?.answer(found("10.0.0.1", 60));
    await pass(60_000);
    const waiting = follow(resolver.resolve("web"));
    await turn();
    expect(waiting.now).toBe("waiting");
    await pass(500);
    expect(waiting.now).toBe("10.0.0.1");
    await asked[1]?.answer(silent);
    // Nobody is asked for a while, and nobody waits.
    const next = follow(resolver.resolve("web"));
    await turn();
    expect(next.now).toBe("10.0.0.1");
    expect(asked).toHaveLength(2);
    await pass(3_600_000);
    const late = follow(resolver.resolve("web"));
    await turn();
    await pass(500);
    expect(late.now).toBe("waiting");
    await asked[2]?.answer(silent);
    expect(late.now).toBe("NO_ANSWER");
    expect(timers()).toBe(0);
  });

  it("forgets an address when the name is gone", async () => {
    const { resolver, asked, pass } = setUp();
    void resolver.resolve("web");
    await turn();
    await asked[0]?.answer(found("10.0.0.1", 1));
    await pass(1_000);
    const lookup = follow(resolver.resolve("web"));
    await turn();
    await asked[1]?.answer(none);
    expect(lookup.now).toBe("NOT_FOUND");
  });

  it("keeps room for other names while many get no answer again and again", async () => {
    const { resolver, asked, pass } = setUp();
    const names = Array.from({ length: 400 }, (_, n) => `mute-${n}`);
    for (const name of names) follow(resolver.resolve(name));
    await turn();
    for (const { answer } of [...asked]) await answer(silent);
    await pass(5_000);
    asked.length = 0;
    for (const name of names) follow(resolver.resolve(name));
    await turn();
    expect(asked).toHaveLength(64);
    const healthy = follow(resolver.resolve("web"));
    await turn();
    await asked.find(({ name }) => name === "web")?.answer(found("10.0.0.1"));
    expect(healthy.now).toBe("10.0.0.1");
  });
});
