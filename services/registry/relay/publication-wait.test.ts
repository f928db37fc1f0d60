import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createPublicationWait } from "./publication-wait.ts";

const jobId = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
const another = "017f22e2-79b0-7cc3-98c4-dc0c0c073990";

/** A wait whose moment ends when the test says so, and calls that are answered when it says so. */
function setUp({ publishing = true, caughtUp = true, seen = (_sequence: number) => Promise.resolve() } = {}) {
  const moments = new Set<() => void>();
  const delays: number[] = [];
  const clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    after(delayMs: number, callback: () => void) {
      delays.push(delayMs);
      moments.add(callback);
      return () => void moments.delete(callback);
    },
  };
  const wait = createPublicationWait({ clock, publishing: () => publishing, seen });
  if (caughtUp) wait.caughtUp();
  const begin = (...jobIds: string[]) => make(jobIds, { stops: false });
  const stop = (...jobIds: string[]) => make(jobIds, { stops: true });
  const make = (jobIds: string[], how: { stops: boolean }) => {
    const ids = jobIds.length === 0 ? [jobId] : jobIds;
    const call = Promise.withResolvers<{ made: ReadonlyMap<string, number> }>();
    let over = false;
    const published = wait
      .afterPublication(ids, () => call.promise, how)
      .finally(() => {
        over = true;
      });
    const answered = published.then(({ answer }) => answer);
    return {
      answered,
      unheard: async () => (await published).unheard,
      changed: (generation: number, ...changed: string[]) =>
        call.resolve({ made: new Map((changed.length === 0 ? ids : changed).map((id) => [id, generation])) }),
      unchanged: () => call.resolve({ made: new Map() }),
      fail: () => call.reject(new Error("the database is away")),
      async isOver() {
        await nextTurn();
        return over;
      },
    };
  };
  return { wait, begin, stop, moments, delays };
}

describe("the answer to a change", () => {
  it("comes once its state or a newer one is published", async () => {
    const { wait, begin, moments } = setUp();
    const [second, third] = [begin(), begin()];
    second.changed(2);
    third.changed(3);
    wait.published(jobId, 1, 1);
    wait.published(another, 9, 1);
    expect(await second.isOver()).toBe(false);
    wait.published(jobId, 2, 1);
    expect(await second.answered).toEqual({ made: new Map([[jobId, 2]]) });
    expect(await third.isOver()).toBe(false);
    wait.published(jobId, 4, 1);
    await third.answered;
    expect(moments.size).toBe(0);
  });

  it("waits until the executors have seen the state as well", async () => {
    const asked: number[] = [];
    const seen = Promise.withResolvers<void>();
    const { wait, begin } = setUp({
      seen(sequence) {
        asked.push(sequence);
        return seen.promise;
      },
    });
    const second = begin();
    second.changed(2);
    await second.isOver();
    wait.published(jobId, 2, 77);
    expect(await second.isOver()).toBe(false);
    expect(asked).toEqual([77]);
    seen.resolve();
    expect(await second.isOver()).toBe(true);
  });

  it("comes at once when its state was published before the store has answered", async () => {
    const { wait, begin } = setUp();
    const call = begin();
    wait.published(jobId, 3, 1);
    wait.published(jobId, 2, 1);
    call.changed(3);
    await call.answered;
  });

  it("comes after a moment in any case", async () => {
    const { begin, moments } = setUp();
    const call = begin();
    call.changed(2);
    expect(await call.isOver()).toBe(false);
    for (const end of moments) end();
    await call.answered;
  });

  it("comes at once while nothing is published", async () => {
    const { begin, moments } = setUp({ publishing: false });
    const [changed, unchanged] = [begin(), begin()];
    changed.changed(2);
    unchanged.unchanged();
    await Promise.all([changed.answered, unchanged.answered]);
    expect(moments.size).toBe(0);
  });
});

describe("the answer to a change of several jobs", () => {
  it("comes once each of those that it has changed is published, and the others' calls of the same moment are over", async () => {
    const { wait, begin } = setUp();
    const [both, one, beside] = [begin(jobId, another), begin(jobId, another), begin(another)];
    both.changed(2);
    wait.published(jobId, 2, 1);
    expect(await both.isOver()).toBe(false);
    wait.published(another, 2, 1);
    await both.answered;
    one.changed(3, jobId);
    wait.published(jobId, 3, 1);
    expect(await one.isOver()).toBe(false);
    beside.changed(3);
    wait.published(another, 3, 1);
    await Promise.all([one.answered, beside.answered]);
  });

  it("does not wait for a call that waits for it in turn", async () => {
    const { wait, begin } = setUp();
    const [first, second] = [begin(jobId, another), begin(another, jobId)];
    first.changed(2, jobId);
    second.changed(2, another);
    wait.published(jobId, 2, 1);
    wait.published(another, 2, 1);
    await Promise.all([first.answered, second.answered]);
  });
});

describe("the answer to a stop", () => {
  it("says that it is heard once it is published, for which it waits for longer", async () => {
    const { wait, begin, stop, delays } = setUp();
    const [edit, pause] = [begin(), stop()];
    edit.changed(2);
    pause.changed(3);
    await pause.isOver();
    expect(delays).toEqual([1_000, 5_000]);
    wait.published(jobId, 3, 1);
    expect(await pause.unheard()).toEqual([]);
  });

  it("says of which jobs nobody has heard when the time is up, and so does each further one until they are published", async () => {
    const { wait, begin, stop, moments } = setUp();
    const end = () => {
      for (const one of moments) one();
    };
    const first = stop(jobId, another);
    first.changed(2);
    await first.isOver();
    wait.published(another, 2, 1);
    await first.isOver();
    end();
    expect(await first.unheard()).toEqual([jobId]);
    const again = stop(jobId, another);
    again.unchanged();
    expect(await again.isOver()).toBe(false);
    end();
    expect(await again.unheard()).toEqual([jobId]);
    // Two who wait for the same.
    const both = [stop(), stop()];
    for (const one of both) one.unchanged();
    await both[0]?.isOver();
    wait.published(jobId, 1, 1);
    expect(await both[0]?.isOver()).toBe(false);
    wait.published(jobId, 2, 1);
    for (const one of both) expect(await one.unheard()).toEqual([]);
    // An edit does not wait for what others have made.
    const edit = begin();
    edit.unchanged();
    expect(await edit.unheard()).toEqual([]);
  });

  it("waits for a broker that is away, too, and is heard of once that has come, also when nobody asks", async () => {
    const { wait, stop, moments } = setUp({ publishing: false });
    const first = stop();
    first.changed(2);
    expect(await first.isOver()).toBe(false);
    for (const end of moments) end();
    expect(await first.unheard()).toEqual([jobId]);
    wait.published(jobId, 2, 1);
    const again = stop();
    again.unchanged();
    expect(await again.unheard()).toEqual([]);
  });

  it("is not known to be heard of after a restart, until all that was left is published", async () => {
    const { stop, wait, moments } = setUp({ caughtUp: false });
    const [again, another] = [stop(), stop()];
    again.unchanged();
    expect(await again.isOver()).toBe(false);
    for (const end of moments) end();
    expect(await again.unheard()).toEqual([jobId]);
    another.changed(3);
    await another.isOver();
    wait.published(jobId, 3, 1);
    expect(await another.unheard()).toEqual([]);
    const third = stop();
    third.unchanged();
    expect(await third.isOver()).toBe(false);
    wait.caughtUp();
    expect(await third.unheard()).toEqual([]);
  });
});

describe("the answer of a call that changes nothing", () => {
  it("waits for a call of the same moment that has made its state, also when that is answered later", async () => {
    const { wait, begin } = setUp();
    const [pause, again] = [begin(), begin()];
    again.unchanged();
    expect(await again.isOver()).toBe(false);
    pause.changed(2);
    expect(await again.isOver()).toBe(false);
    wait.published(jobId, 2, 1);
    await Promise.all([pause.answered, again.answered]);
  });

  it("waits for nobody who changes nothing either, has failed, or has another job", async () => {
    const { begin } = setUp();
    const [first, second, failing, other] = [begin(), begin(), begin(), begin(another)];
    first.unchanged();
    second.unchanged();
    expect(await first.isOver()).toBe(false);
    failing.fail();
    await expect(failing.answered).rejects.toThrow("the database is away");
    await Promise.all([first.answered, second.answered]);
    other.unchanged();
    await other.answered;
  });

  it("knows nothing of calls that are over", async () => {
    const { wait, begin } = setUp();
    const first = begin();
    wait.published(jobId, 7, 1);
    first.changed(7);
    await first.answered;
    const second = begin();
    second.changed(3);
    expect(await second.isOver()).toBe(false);
    wait.published(jobId, 3, 1);
    await second.answered;
  });
});
