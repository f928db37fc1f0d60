import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Execution, ExecutionService, ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createGrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type HistoryProcess, startHistoryProcess } from "../../support/history-process.ts";
import { noon } from "../../support/history-results.ts";
import { encodeBatch, type HistoryRig, startHistoryRig, wireResult } from "../../support/history-rig.ts";
import { jobsNamed } from "../../support/job-ids.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const { FAILED } = ExecutionStatus;

let rig: HistoryRig;

beforeAll(async () => {
  rig = await startHistoryRig();
});
afterAll(() => rig.stop());

describe("the history process", () => {
  let running: HistoryProcess | undefined;
  afterEach(async () => {
    await running?.kill("SIGKILL");
    running = undefined;
  });

  it("that is killed again and again loses no result and doubles none", async () => {
    const place = { natsUrl: rig.nats.url, dataDir: join(rig.dataDir, "killed") };
    const jobs = jobsNamed("k", 50);
    const seconds = 120;
    const batches = Array.from({ length: seconds }, (_, i) =>
      encodeBatch(
        jobs.flatMap((job, j) => {
          const failed = { status: FAILED, httpStatus: 500, reason: "HTTP_STATUS" };
          const final = wireResult(job, noon + i, j % 5 === 0 ? { ...failed, attempt: 2 } : {});
          return j % 5 === 0 ? [wireResult(job, noon + i, { ...failed, final: false }), final] : [final];
        }),
      ),
    );
    running = await startHistoryProcess(place);
    for (const [i, batch] of batches.entries()) {
      await rig.publisher.publish(subjects.results, batch);
      // At once, so that it dies with this and earlier batches in whatever state they are.
      if (i % 30 === 15) {
        await running.kill("SIGKILL");
        running = await startHistoryProcess(place);
      }
    }
    await rig.allRecorded();

    const client = createGrpcClient(ExecutionService, { address: running.grpcAddress }, deps);
    const everything = async () => {
      const answers: Execution[][] = [];
      for (const jobId of jobs) answers.push((await client.listExecutions({ jobId, pageSize: 1_000 })).executions);
      return answers;
    };
    const recorded = await everything();
    const expected = Array.from({ length: seconds }, (_, i) => noon + seconds - 1 - i);
    for (const [j, executions] of recorded.entries()) {
      expect(executions.map(({ scheduledTime }) => Number(scheduledTime?.seconds))).toEqual(expected);
      expect(executions.every(({ attempts }) => attempts.length === (j % 5 === 0 ? 2 : 1))).toBe(true);
    }

    for (const batch of batches) await rig.publisher.publish(subjects.results, batch);
    await rig.allRecorded();
    expect(await everything()).toEqual(recorded);
    client.close();
    await running.kill("SIGTERM");
    expect(running.child.exitCode).toBe(0);
  });
});
