import { systemClock, systemRandom } from "../../services/platform/process/clock.ts";
import { brokers, type ComposeCluster, startComposeCluster } from "../support/compose-cluster.ts";

// What broker failures cost a cluster in which 150 calls a second are due, in network namespaces:
//   node test/cluster/main.ts leaders 10   the leader of DUE is killed so often: how late calls come
//   node test/cluster/main.ts rolling 5    all brokers are replaced one by one, so many rounds: what is doubled, late or missed
// A round takes some 30 s.

const jobs = 150;
const settleMs = 8_000;
const watchMs = 16_000;
const worstMs = 60_000;

const [mode = "leaders", rounds = "10"] = process.argv.slice(2);
const cluster = await startComposeCluster({ CARILLON_LOG_LEVEL: "warn" });
process.on("SIGINT", () => void cluster.stop().then(() => process.exit(1)));
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

try {
  await ready(cluster);
  const requests = Array.from({ length: jobs }, (_, n) => ({
    job: { schedule: "* * * * * *", api_endpoint: `http://target:3000/${n}`, type: "ATLEAST_ONCE" },
  }));
  const created = await cluster.call("POST", "/jobs:batchCreate", { requests });
  if (created.status !== 200) throw new Error(created.text);
  await wait(settleMs);
  const worst: number[] = [];
  for (let round = 1; round <= Number(rounds); round++) {
    const fromMs = systemClock.nowMs();
    if (mode === "leaders") await killLeader();
    else await replaceAll();
    await wait(watchMs);
    const untilMs = systemClock.nowMs() - settleMs;
    const seen = look(fromMs, untilMs);
    worst.push(seen.latestMs);
    console.log(`round ${round}: ${JSON.stringify(seen)}`);
  }
  worst.sort((a, b) => a - b);
  console.log(`the latest call of each round, ms: ${worst.join(" ")}`);
} finally {
  await cluster.stop();
}

async function killLeader(): Promise<void> {
  const leader = (await cluster.leaderOf("DUE")) ?? brokers[0];
  const killedMs = systemClock.nowMs();
  await cluster.one(leader).signal("SIGKILL");
  await wait(watchMs);
  // What of it is the brokers' own: nothing can be stored, or taken out of a consumer, before another one leads it.
  const elected = (what: string) =>
    brokers
      .flatMap((broker) => cluster.one(broker).lines)
      .filter((line) => line.includes(`leader for '$G > ${what}'`))
      .map(
        (line) => Date.parse(`${/\d{4}\/\S+ \S+/.exec(line)?.[0].replaceAll("/", "-").replace(" ", "T")}Z`) - killedMs,
      )
      .filter((afterMs) => afterMs >= 0)
      .map(Math.round);
  console.log(
    `${leader} killed; elected after ms: ${["DUE", "DUE > executor", "TICKS"].map((what) => `${what} ${elected(what)}`).join(", ")}`,
  );
  await cluster.one(leader).start();
  await ready(cluster);
}

/** Stopped or killed, and the next one a while after it came back, caught up or not. */
async function replaceAll(): Promise<void> {
  for (const broker of brokers) {
    await cluster.one(broker).signal(systemRandom() < 0.5 ? "SIGTERM" : "SIGKILL");
    await wait(systemRandom() * 3_000);
    await cluster.one(broker).start();
    if (systemRandom() < 0.5) await healthy(broker);
    else await wait(systemRandom() * 2_000);
  }
}

/** What became of each occurrence between two instants. */
function look(fromMs: number, untilMs: number) {
  const calls = new Map<string, number[]>();
  for (const { execution, atMs } of cluster.hits) calls.set(execution, [...(calls.get(execution) ?? []), atMs]);
  const count = { occurrences: 0, doubled: 0, late1s: 0, late5s: 0, late10s: 0, latestMs: 0, doubledLatestMs: 0 };
  for (const [execution, at] of calls) {
    const dueMs = Number(execution.split("-").at(-1)) * 1_000;
    if (dueMs < fromMs || dueMs > untilMs) continue;
    count.occurrences++;
    const lateMs = Math.min(...at) - dueMs;
    if (at.length > 1) {
      count.doubled++;
      count.doubledLatestMs = Math.max(count.doubledLatestMs, Math.max(...at) - dueMs);
    }
    if (lateMs > 1_000) count.late1s++;
    if (lateMs > 5_000) count.late5s++;
    if (lateMs > 10_000) count.late10s++;
    count.latestMs = Math.max(count.latestMs, lateMs);
  }
  const seconds = Math.floor(untilMs / 1_000) - Math.ceil(fromMs / 1_000) + 1;
  return { ...count, missed: seconds * jobs - count.occurrences };
}

async function ready(of: ComposeCluster): Promise<void> {
  const startedMs = systemClock.monotonicMs();
  while (systemClock.monotonicMs() - startedMs < worstMs) {
    const answer = await of.call("GET", "/readyz").catch(() => undefined);
    if (answer?.status === 200) return;
    await wait(200);
  }
  throw new Error(`not ready within ${worstMs} ms`);
}

async function healthy(broker: string): Promise<void> {
  const script = 'fetch("http://127.0.0.1:8222/healthz?js-enabled-only=true").then((r) => process.exit(r.ok ? 0 : 1))';
  for (let tries = 0; tries < 40; tries++) {
    const ok = await cluster
      .one(broker)
      .exec(["node", "-e", script])
      .then(
        () => true,
        () => false,
      );
    if (ok) return;
    await wait(250);
  }
}
