import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createPublisher, type Publisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createJobsReader, type JobsReader } from "../../../services/ticker/io/jobs-reader.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const unreadable = new Uint8Array([255, 255]);

describe("the reader of JOBS", () => {
  let nats: Nats;
  let broker: Broker;
  let publisher: Publisher;
  let reader: JobsReader;
  let heard: string[];

  beforeEach(async () => {
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    await broker.start();
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
    publisher = createPublisher(broker, deps);
    await publisher.start();
    heard = [];
    reader = createJobsReader(broker, deps, {
      partitionCount: 64,
      onStream: () => heard.push("stream"),
      onChange: (_, partition, __, change) => heard.push(`${change.kind} ${change.jobId} in ${partition}`),
      onEnd: () => heard.push("end"),
    });
  });
  afterEach(async () => {
    await reader.stop();
    await publisher.stop();
    await broker.stop();
    await nats.stop();
  });

  const hears = (count: number) =>
    eventually(
      async () => heard.length,
      (length) => length >= count,
    );
  const put = (partition: number, jobId: string) => publisher.publish(subjects.job(partition, jobId), unreadable);

  it("tells each time that it has reached the end, since only there the covered sequence moves", async () => {
    reader.follow(1, [4, 5]);
    await hears(2);
    await put(4, "a");
    await hears(4);
    await put(5, "b");
    await hears(6);
    expect(heard).toEqual(["stream", "end", "gone a in 4", "end", "gone b in 5", "end"]);
  });

  it("goes on with the partitions that are left, and passes over one that has left", async () => {
    reader.follow(1, [4, 5]);
    await hears(2);
    reader.unfollow(1, 4);
    await put(4, "a");
    await put(5, "b");
    await hears(5);
    expect(heard).toEqual(["stream", "end", "end", "gone b in 5", "end"]);
  });
});
