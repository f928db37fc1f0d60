import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DueEntrySchema, JobEventSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { decodeCall } from "../../../services/executor/calls/call.ts";
import { createJobLookup } from "../../../services/executor/verdict/job-lookup.ts";
import { createJobStates } from "../../../services/executor/verdict/job-states.ts";
import { createBroker } from "../../../services/platform/jetstream/broker.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { type ExecutorRig, startExecutorRig } from "../../support/executor-rig.ts";
import { holdConnection } from "../../support/held-connection.ts";
import { jobNamed } from "../../support/job-ids.ts";

const log = createLog("test", "silent");
const keptMs = 10 * 60_000;

describe("the look-up of jobs", () => {
  let rig: ExecutorRig;
  beforeAll(async () => {
    rig = await startExecutorRig();
  });
  afterAll(() => rig.stop());

  /** States that follow nothing by themselves, on a clock that stands still. */
  const setUp = () => {
    let nowMs = 1_000_000_000;
    const clock = { ...systemClock, nowMs: () => nowMs };
    const states = createJobStates({ clock, log });
    states.markFollowed();
    nowMs += 1_000;
    const verdict = (jobId: string) => {
      const entry = toBinary(
        DueEntrySchema,
        create(DueEntrySchema, { jobId, generation: 1, url: "http://127.0.0.1/" }),
      );
      return states.judge({ call: decodeCall(entry), second: 1, started: true }).kind;
    };
    const pass = (ms: number) => {
      nowMs += ms;
      // What is older than the states keep is forgotten with the next change.
      const event = create(JobEventSchema, { jobId: jobNamed("other"), generation: 2 + nowMs, deleted: true });
      states.note(jobNamed("other"), toBinary(JobEventSchema, event));
    };
    return { states, lookup: createJobLookup(rig.broker, states, { clock, log }), verdict, pass };
  };
  const deletion = (jobId: string) =>
    toBinary(JobEventSchema, create(JobEventSchema, { jobId, generation: 2, deleted: true }));

  it("asks again for a job whose change was heard of and forgotten since", async () => {
    const { states, lookup, verdict, pass } = setUp();
    const jobId = jobNamed("a");
    await rig.change(jobId, { generation: 1 });
    await lookup.learn([jobId]);
    expect(verdict(jobId)).toBe("fire");
    await rig.change(jobId, { generation: 2, deleted: true });
    states.note(jobId, deletion(jobId));
    expect(verdict(jobId)).toBe("skip");
    pass(keptMs + 1);
    expect(verdict(jobId)).toBe("fire");
    await lookup.learn([jobId]);
    expect(verdict(jobId)).toBe("skip");
  });

  it("asks once for what has no change to forget, however often it is asked, and for all of them at once", async () => {
    const { lookup, verdict } = setUp();
    const jobIds = Array.from({ length: 50 }, (_, number) => jobNamed(`n${number}`));
    for (const jobId of jobIds) await rig.change(jobId, { generation: 1 });
    const before = rig.broker.nc.stats().outMsgs;
    await Promise.all([lookup.learn(jobIds), lookup.learn(jobIds)]);
    await lookup.learn(jobIds);
    expect(rig.broker.nc.stats().outMsgs - before).toBe(jobIds.length);
    for (const jobId of jobIds) await rig.change(jobId, { generation: 2, deleted: true });
    await lookup.learn(jobIds);
    // Its changes are followed: this one would have been heard of.
    expect(verdict(jobIds[0] ?? "")).toBe("fire");
  });

  it("asks the broker that leads when another one that has a copy does not answer", async () => {
    const way = await holdConnection("127.0.0.1", rig.nats.port);
    const far = createBroker({ url: `nats://127.0.0.1:${way.port}`, name: "far" }, { clock: systemClock, log });
    await far.start();
    const { states } = setUp();
    const jobId = jobNamed("l");
    await rig.change(jobId, { generation: 1 });
    // The first request of a connection comes with the subscription for its answer.
    await far.jsm.getAccountInfo();
    way.lose("$JS.API.DIRECT.GET.");
    expect(await createJobLookup(far, states, { clock: systemClock, log }).learn([jobId])).toBe(true);
    expect(way.lost()).toBe(1);
    await far.stop();
    await way.stop();
  });

  it("asks again as long as changes may have been missed", async () => {
    const { states, lookup, verdict } = setUp();
    const jobId = jobNamed("m");
    await rig.change(jobId, { generation: 1 });
    await lookup.learn([jobId]);
    states.markLost();
    await rig.change(jobId, { generation: 2, deleted: true });
    await lookup.learn([jobId]);
    expect(verdict(jobId)).toBe("skip");
  });
});
