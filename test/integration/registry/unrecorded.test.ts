import { afterAll, beforeAll, it } from "vitest";
import { createBroker } from "../../../services/platform/jetstream/broker.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import type { Readiness } from "../../../services/platform/process/conditions.ts";
import { formatAddress } from "../../../services/platform/process/environment.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createGrpcServer, type GrpcServer } from "../../../services/platform/rpc/grpc/grpc-server.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { type Registry, removeDir, startRegistry, tempDir } from "../../support/registry.ts";
import { eventually } from "../../support/rest.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
// What was stored just now waits for so long already, as the registry sees it.
const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + 31_000 };

let nats: Nats;
let dataDir: string;
/** Answers whatever it is asked, and records nothing: as one does whose disk is full. */
let history: GrpcServer;
let registry: Registry;

beforeAll(async () => {
  nats = await startNats();
  dataDir = await tempDir();
  history = createGrpcServer({ address: { host: "127.0.0.1", port: 0 } }, { services: [], ...deps });
  await history.start();
  registry = await startRegistry({ dataDir, natsUrl: nats.url, historyAddress: history.address() }, clock);
});
afterAll(async () => {
  await registry.stop();
  await history.stop();
  await nats.stop();
  await removeDir(dataDir);
});

const ask = async () => {
  const response = await fetch(`http://${formatAddress(registry.addresses.http)}/readyz`);
  const { conditions } = (await response.json()) as Readiness;
  return conditions.find(({ name }) => name === "history");
};

it("the front door says that a history which answers records nothing, until it does", async () => {
  await eventually(ask, (condition) => condition?.ok === true);
  const broker = createBroker({ url: nats.url, name: "test" }, deps);
  await broker.start();
  await broker.js.publish(subjects.results, new Uint8Array(10));
  const told = /^history has not recorded what ended \d+ s ago: executions cannot be read, jobs fire$/;
  await eventually(ask, (condition) => condition?.ok === false && told.test(condition.message));
  await broker.jsm.streams.purge(streams.results);
  await eventually(ask, (condition) => condition?.ok === true);
  await broker.stop();
});
