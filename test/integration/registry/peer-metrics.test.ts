import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { createMergedMetrics } from "../../../services/registry/front-door/merged-metrics.ts";
import { createPeerAddresses } from "../../../services/registry/front-door/peer-addresses.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});

/** One of several machines: loopback has an address for each. */
async function listen(host: string, port: number, answer: RequestListener): Promise<number> {
  const server = createServer(answer).listen(port, host);
  servers.push(server);
  await once(server, "listening");
  const address = server.address();
  return address && typeof address === "object" ? address.port : 0;
}

const counts =
  (value: number): RequestListener =>
  (_, response) =>
    response.end(`# TYPE fired_total counter\nfired_total ${value}\n`);
const silent: RequestListener = () => undefined;

/** The page of a registry whose peer is this name, for the addresses that it stands for at each time. */
function mergedOf(port: number, resolve: (host: string) => Promise<string[]>, token?: string) {
  const merged = createMergedMetrics(createMetrics("registry"), {
    peers: [{ host: "executor", port }],
    token,
    addressesOf: createPeerAddresses({ clock: systemClock, resolve }),
  });
  return async () => {
    const { body } = await merged.metrics();
    return body.split("\n").filter((line) => /^(fired_total|carillon_peer_up)/.test(line));
  };
}

describe("the metrics of a peer whose name stands for several", () => {
  it("are those of each, under its own address, as they come and go", async () => {
    const port = await listen("127.0.0.2", 0, counts(7));
    await listen("127.0.0.3", port, counts(9));
    const addresses = ["127.0.0.3", "127.0.0.2", "127.0.0.3"];
    const page = mergedOf(port, () => Promise.resolve(addresses));
    expect(await page()).toEqual([
      `fired_total{peer="127.0.0.2:${port}"} 7`,
      `fired_total{peer="127.0.0.3:${port}"} 9`,
      `carillon_peer_up{peer="127.0.0.2:${port}"} 1`,
      `carillon_peer_up{peer="127.0.0.3:${port}"} 1`,
    ]);
    addresses.splice(0, 3, "127.0.0.3");
    expect(await page()).toEqual([
      `fired_total{peer="127.0.0.3:${port}"} 9`,
      `carillon_peer_up{peer="127.0.0.3:${port}"} 1`,
    ]);
  });

  it("come though one of them takes connections and says nothing, and another is too long", async () => {
    const port = await listen("127.0.0.2", 0, counts(7));
    await listen("127.0.0.3", port, silent);
    await listen("127.0.0.4", port, (_, response) => response.end("x 1\n".repeat(500_000)));
    const page = mergedOf(port, () => Promise.resolve(["127.0.0.2", "127.0.0.3", "127.0.0.4"]));
    expect(await page()).toEqual([
      `fired_total{peer="127.0.0.2:${port}"} 7`,
      `carillon_peer_up{peer="127.0.0.2:${port}"} 1`,
      `carillon_peer_up{peer="127.0.0.3:${port}"} 0`,
      `carillon_peer_up{peer="127.0.0.4:${port}"} 0`,
    ]);
  });

  it("stand by the last addresses while nobody answers for the name, and by the name once there is no such name", async () => {
    const port = await listen("127.0.0.2", 0, counts(7));
    const found = [`fired_total{peer="127.0.0.2:${port}"} 7`, `carillon_peer_up{peer="127.0.0.2:${port}"} 1`];
    const answers = [
      () => Promise.resolve(["127.0.0.2"]),
      () => Promise.reject(Object.assign(new Error("no answer"), { code: "EAI_AGAIN" })),
      () => Promise.reject(Object.assign(new Error("no such name"), { code: "ENOTFOUND" })),
      () => new Promise<string[]>(() => undefined),
    ];
    const page = mergedOf(port, () => answers.shift()?.() ?? Promise.resolve([]));
    expect(await page()).toEqual(found);
    expect(await page()).toEqual(found);
    expect(await page()).toEqual([`carillon_peer_up{peer="executor:${port}"} 0`]);
    // A question that stays open holds up nothing, and is not asked once more beside itself.
    expect(await page()).toEqual([`carillon_peer_up{peer="executor:${port}"} 0`]);
    expect(await page()).toEqual([`carillon_peer_up{peer="executor:${port}"} 0`]);
    expect(answers).toEqual([]);
  });

  it("are asked for with the token between the services, where there is one", async () => {
    const seen: (string | undefined)[] = [];
    const port = await listen("127.0.0.2", 0, ({ headers }, response) => {
      seen.push(headers.authorization);
      response.end();
    });
    const resolve = () => Promise.resolve(["127.0.0.2"]);
    await mergedOf(port, resolve)();
    await mergedOf(port, resolve, "s3cret")();
    expect(seen).toEqual([undefined, "Bearer s3cret"]);
  });

  it("are found by the system's own names", async () => {
    const addressesOf = createPeerAddresses({ clock: systemClock });
    expect(await addressesOf("localhost")).toEqual(["127.0.0.1"]);
    expect(await addressesOf("::1")).toEqual(["::1"]);
    expect(await addressesOf("nowhere.invalid")).toEqual([]);
  });
});
