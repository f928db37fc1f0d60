import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import { dueEntry, type ExecutorRig, nextSecond, startExecutorRig } from "../../support/executor-rig.ts";
import { jobsNamed } from "../../support/job-ids.ts";
import { type NameServer, startNameServer } from "../../support/name-server.ts";
import { startTarget, type Target } from "../../support/target.ts";

const { SUCCESS, FAILED } = ExecutionStatus;

describe("an executor and the names of its targets", () => {
  let rig: ExecutorRig;
  let target: Target;
  let names: NameServer;

  beforeAll(async () => {
    target = await startTarget();
    names = await startNameServer(({ name, type }) => {
      if (name.startsWith("mute")) return "silence";
      if (name.startsWith("gone")) return "no such name";
      if (name.startsWith("metadata")) return [{ type: "A", name, ttl: 60, data: "169.254.169.254" }];
      return type === "A" ? [{ type: "A", name, ttl: 60, data: "127.0.0.1" }] : [];
    });
    rig = await startExecutorRig();
    await rig.startExecutor({ nameServers: [names.address] });
  });
  afterAll(async () => {
    await rig.stop();
    await names.stop();
    await target.stop();
  });

  const url = (name: string) => `http://${name}.test:${target.port}/${name}`;

  it("calls twenty named targets while nobody answers for the names of a hundred others", async () => {
    const second = nextSecond();
    const mute = jobsNamed("m", 100).map((jobId, i) => dueEntry({ jobId, url: url(`mute-${i}`), maxAttempts: 1 }));
    const healthy = jobsNamed("h", 20).map((jobId, i) => dueEntry({ jobId, url: url(`web-${i}`) }));
    await rig.due(second, mute);
    await rig.due(second, healthy);
    for (const { jobId } of healthy) {
      expect(await rig.settled(jobId, second)).toMatchObject([{ attempt: 1, status: SUCCESS }]);
    }
    for (const { jobId } of mute) {
      expect(await rig.settled(jobId, second)).toMatchObject([{ status: FAILED, reason: "DNS_ERROR" }]);
    }
  });

  it("asks once for a name that many jobs call", async () => {
    const second = nextSecond();
    const jobs = jobsNamed("s", 50).map((jobId) => dueEntry({ jobId, url: url("shared") }));
    await rig.due(second, jobs);
    for (const { jobId } of jobs) expect(await rig.settled(jobId, second)).toMatchObject([{ status: SUCCESS }]);
    expect(names.questions.filter((question) => question === "A shared.test")).toHaveLength(1);
  });

  it("says of a name that does not exist that it was not found, and of a refused address that it is refused", async () => {
    const second = nextSecond(0);
    const [gone = "", metadata = ""] = jobsNamed("o", 2);
    await rig.due(second, [
      dueEntry({ jobId: gone, url: url("gone"), maxAttempts: 1 }),
      dueEntry({ jobId: metadata, url: url("metadata"), maxAttempts: 1 }),
    ]);
    expect(await rig.settled(gone, second)).toMatchObject([
      { status: FAILED, reason: "DNS_ERROR", message: expect.stringContaining("gone.test was not found") },
    ]);
    expect(await rig.settled(metadata, second)).toMatchObject([
      { status: FAILED, reason: "NETWORK_ERROR", message: expect.stringContaining("not allowed") },
    ]);
  });
});
