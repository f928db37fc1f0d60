import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { secondOf, systemClock } from "../../../services/platform/process/clock.ts";
import { brokers, type ComposeCluster, startComposeCluster } from "../../support/compose-cluster.ts";
import { eventually } from "../../support/rest.ts";

// docker-compose.yml as an engine would run it, all of it in network namespaces: its commands, its environment, roots that
// cannot be written, no capabilities. One job fires each second through all that follows, and misses none.

// Long after a client that has noticed is back, and before one that waits for the kernel to notice.
const readsWithinMs = 40_000;

let cluster: ComposeCluster;
let jobId: string;
let firstSecond: number;
beforeAll(async () => {
  cluster = await startComposeCluster();
  await ready();
  const job = { schedule: "* * * * * *", api_endpoint: "http://target:3000/each-second", type: "ATLEAST_ONCE" };
  const created = await cluster.call("POST", "/jobs", job);
  expect(created).toMatchObject({ status: 200 });
  jobId = (JSON.parse(created.text) as { job_id: string }).job_id;
  await eventually(called, (seconds) => seconds.size > 0);
  firstSecond = Math.min(...(await called()));
}, 120_000);
afterAll(() => cluster?.stop());

const orAway = <T>(asked: Promise<T>) => asked.catch(() => undefined);
const ready = () =>
  eventually(
    () => orAway(cluster.call("GET", "/readyz")),
    (answer) => answer?.status === 200,
  );
const called = () => Promise.resolve(new Set(cluster.hits.map(({ execution }) => Number(execution.split("-").at(-1)))));

/** Resolves once all seconds were called, up to some that lie behind what was done last. */
async function noSecondMissed(): Promise<void> {
  const until = secondOf(systemClock.nowMs()) + 3;
  const missing = (seconds: ReadonlySet<number>) =>
    Array.from({ length: until - firstSecond }, (_, n) => firstSecond + n).filter((second) => !seconds.has(second));
  await eventually(called, (seconds) => missing(seconds).length === 0);
}

describe("the compose cluster", () => {
  it("has replicas that can be told apart, each with its share, and metrics of each", async () => {
    const page = (await cluster.call("GET", "/metrics")).text;
    const up = [...page.matchAll(/^carillon_peer_up\{peer="([^"]*)"\} 1$/gm)].map(([, peer]) => peer).sort();
    const instances = [
      ...cluster.of("ticker").map(({ ip }) => `${ip}:9191`),
      ...cluster.of("executor").map(({ ip }) => `${ip}:9192`),
      `${cluster.one("history").ip}:9193`,
    ];
    expect(up).toEqual(instances.sort());
    const owned = [...page.matchAll(/^carillon_partitions_owned\{.*\} (\d+)$/gm)].map(([, count]) => Number(count));
    expect(owned.reduce((sum, count) => sum + count, 0)).toBe(64);
  });

  it("lets no job read what its services tell operators, and passes its own health checks", async () => {
    const { ip } = cluster.one("ticker");
    const get = `fetch("http://${ip}:9191/metrics").then((r) => console.log(r.status))`;
    expect((await cluster.one("executor").exec(["node", "-e", get])).trim()).toBe("401");
    for (const name of ["registry", "ticker", "executor", "history"]) {
      for (const container of cluster.of(name)) await container.exec(cluster.healthCheck(name));
    }
  });

  it("misses nothing when the leader of its brokers is killed, and when that comes back", async () => {
    const leader = await cluster.leaderOf("DUE");
    expect(brokers).toContain(leader);
    await cluster.one(leader ?? "").signal("SIGKILL");
    await noSecondMissed();
    await cluster.one(leader ?? "").start();
    await ready();
    await noSecondMissed();
  });

  it(
    "reads executions again soon after history was made again under another address, though the old one is silent",
    async () => {
      await cluster.recreate("history");
      await eventually(
        () => orAway(cluster.call("GET", `/jobs/${jobId}/executions`)),
        (answer) => answer?.status === 200,
      );
      await ready();
      await noSecondMissed();
    },
    readsWithinMs,
  );

  it("says that nothing fires without a quorum of its brokers, and that a pause is not heard of, until they are back", async () => {
    const job = { schedule: "@yearly", api_endpoint: "http://target:3000/never", type: "ATLEAST_ONCE" };
    const path = `/jobs/${(JSON.parse((await cluster.call("POST", "/jobs", job)).text) as { job_id: string }).job_id}`;
    const own = (name: string) => {
      const ask =
        "const port = process.env.CARILLON_OPS_ADDR.split(':').at(-1);" +
        "fetch('http://127.0.0.1:' + port + '/readyz').then((r) => console.log(r.status))";
      return cluster.one(name).exec(["node", "-e", ask]);
    };
    const lost = brokers.slice(0, 2);
    for (const name of lost) await cluster.one(name).signal("SIGKILL");
    const answered = (status: number) => (answer: { status: number } | undefined) => answer?.status === status;
    await eventually(() => orAway(cluster.call("GET", "/readyz")), answered(503));
    for (const name of ["history", "executor", "ticker"]) {
      await eventually(
        () => orAway(own(name)),
        (status) => status?.trim() === "503",
      );
    }
    const pending = await cluster.call("POST", `${path}:pause`);
    expect([pending.status, pending.text]).toEqual([503, expect.stringContaining("CHANGE_PENDING")]);
    for (const name of lost) await cluster.one(name).start();
    await eventually(() => orAway(cluster.call("POST", `${path}:pause`)), answered(200));
    await ready();
    expect((await cluster.call("DELETE", path)).status).toBe(200);
    await noSecondMissed();
  });

  it("misses nothing while it is scaled up and down, and the ticker that stays goes by the id that it had", async () => {
    const [first] = cluster.of("ticker");
    await Promise.all([cluster.scale("ticker", 3), cluster.scale("executor", 4)]);
    await ready();
    await noSecondMissed();
    await Promise.all([cluster.scale("ticker", 1), cluster.scale("executor", 1)]);
    await ready();
    await cluster.restart("ticker");
    await ready();
    await noSecondMissed();
    expect(cluster.of("ticker")).toEqual([first]);
    const taken = first?.lines.filter((line) => line.includes('"partition_taken_over"')) ?? [];
    expect(taken.filter((line) => line.includes(`"from":"${first?.hostname}"`))).toEqual([]);
  });

  it("misses nothing when all of it is restarted one by one, in whatever order", async () => {
    await cluster.restart("history", "nats-2", "executor", "registry", "nats-3", "ticker", "nats-1");
    await ready();
    await noSecondMissed();
  });

  it("misses nothing when all of it is stopped at once and comes back, services before brokers", async () => {
    const services = ["registry", "ticker", "executor", "history"];
    const each = (names: string[]) => names.flatMap((name) => cluster.of(name));
    await Promise.all(each([...services, ...brokers]).map((container) => container.signal("SIGTERM")));
    for (const container of each([...services, ...brokers])) await container.start();
    await ready();
    await noSecondMissed();
  });

  it("shows executions of its own in the log of the demo", async () => {
    await cluster.scale("demo", 1);
    await eventually(
      () => Promise.resolve(cluster.one("demo").lines.filter((line) => line.includes("SUCCESS"))),
      (lines) => lines.length >= 2,
    );
    await cluster.scale("demo", 0);
    const { text } = await cluster.call("GET", "/jobs?page_size=10");
    expect((JSON.parse(text) as { jobs: { job_id: string }[] }).jobs.map(({ job_id }) => job_id)).toEqual([jobId]);
  });
});
