import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { readExecutorConfig } from "../../../services/executor/config.ts";
import { readHistoryConfig } from "../../../services/history/config.ts";
import { ConfigError, type Environment } from "../../../services/platform/process/environment.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { createOpsServer } from "../../../services/platform/process/ops-server.ts";
import { readRegistryConfig } from "../../../services/registry/config.ts";
import { readTickerConfig } from "../../../services/ticker/config.ts";
import { type ComposeService, interpolate, readComposeFile } from "../../support/compose-file.ts";
import { repositoryDir } from "../../support/nats.ts";

const tokens = { CARILLON_API_TOKENS: "api", CARILLON_INTERNAL_TOKEN: "internal" };
const compose = readComposeFile(tokens);
const services = Object.entries(compose.services);
const ours = services.filter(([name]) => !name.startsWith("nats"));
const guarded = ours.filter(([, { healthcheck }]) => healthcheck);
const serviceOf = (name: string): ComposeService => {
  const service = compose.services[name];
  if (!service) throw new Error(`no service ${name}`);
  return service;
};

const readConfig: Record<string, (env: Environment) => { opsAddress: { port: number }; replicas: number }> = {
  registry: readRegistryConfig,
  ticker: readTickerConfig,
  executor: readExecutorConfig,
  history: readHistoryConfig,
};

describe("docker-compose.yml", () => {
  it("has three brokers, one service each of four, and a demo that is asked for by name", () => {
    const names = "nats-1 nats-2 nats-3 registry ticker executor history demo";
    expect(Object.keys(compose.services)).toEqual(names.split(" "));
    expect(services.filter(([, { profiles }]) => profiles).map(([name]) => name)).toEqual(["demo"]);
    expect([serviceOf("ticker").scale, serviceOf("executor").scale]).toEqual([2, 2]);
  });

  it("gives no replica anything of its own: their host names tell them apart", () => {
    for (const name of ["ticker", "executor"]) {
      const { environment = {}, volumes, ports } = serviceOf(name);
      expect(Object.keys(environment).filter((key) => key.endsWith("_ID"))).toEqual([]);
      expect([volumes, ports]).toEqual([undefined, undefined]);
    }
  });

  it.each(guarded)("%s runs a file that exists, with an environment that it takes", (name, service) => {
    expect(service.command[0]).toBe("node");
    expect(existsSync(join(repositoryDir, service.command[1] ?? ""))).toBe(true);
    const config = readConfig[name]?.(service.environment ?? {});
    expect(config?.replicas).toBe(3);
    expect(service.environment?.CARILLON_OPS_ADDR).toBe(`0.0.0.0:${config?.opsAddress.port}`);
  });

  it("has the registry ask for the metrics of each other service where that serves them", () => {
    const asked = readRegistryConfig(serviceOf("registry").environment ?? {}).metricsPeers;
    const served = guarded
      .filter(([name]) => name !== "registry")
      .map(([name, { environment = {} }]) => ({ host: name, port: readConfig[name]?.(environment).opsAddress.port }));
    expect(asked).toEqual(served);
  });

  it.each([
    "CARILLON_API_TOKENS",
    "CARILLON_INTERNAL_TOKEN",
  ])("will not start without %s, and says where to set it", (name) => {
    for (const left of [{}, { [name]: "" }]) {
      const { [name]: _, ...others } = tokens as Record<string, string>;
      expect(() => readComposeFile({ ...others, ...left })).toThrow(new RegExp(`${name}.*in \\.env`));
    }
  });

  it("publishes the registry's ports only, and declares each volume that it mounts", () => {
    expect(services.filter(([, { ports }]) => ports).map(([name]) => name)).toEqual(["registry"]);
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(":")[0]));
    expect(mounted.sort()).toEqual(Object.keys(compose.volumes).sort());
  });

  it.each(
    services,
  )("%s has a root that it cannot write, no capabilities, and bounds for memory and logs", (_, service) => {
    expect(service).toMatchObject({ read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] });
    expect(service.tmpfs).toEqual(["/tmp:size=16m"]);
    expect(service.mem_limit).toBe("1g");
    expect(service.logging?.options).toEqual({ "max-size": "10m", "max-file": "3" });
  });

  it("leaves no nameless volumes behind", () => {
    expect(readFileSync(join(repositoryDir, "Dockerfile"), "utf8")).not.toMatch(/^VOLUME/m);
    const inData = ours.filter(([, { environment }]) => environment?.CARILLON_DATA_DIR === "/data");
    expect(inData.map(([name]) => name)).toEqual(["registry", "history"]);
    for (const [name, { volumes }] of inData) expect(volumes).toEqual([`${name}:/data`]);
  });

  it("lets jobs call the machine that it runs on", () => {
    expect(serviceOf("executor").extra_hosts).toEqual(["host.docker.internal:host-gateway"]);
  });

  it("builds one image, once, and runs every service from it", () => {
    expect(new Set(ours.map(([, { image }]) => image)).size).toBe(1);
    expect(ours.filter(([, { build }]) => build).map(([name]) => name)).toEqual(["registry"]);
    expect(ours.every(([, service]) => service.pull_policy === "never")).toBe(true);
  });

  it("keeps the tokens out of git, and out of the image", () => {
    expect(readFileSync(join(repositoryDir, ".gitignore"), "utf8").split("\n")).toContain(".env");
    const [first, ...exceptions] = readFileSync(join(repositoryDir, ".dockerignore"), "utf8").trim().split("\n");
    expect(first).toBe("*");
    expect(exceptions.filter((line) => line.includes("env"))).toEqual([]);
  });

  it("has the broker flush each message", () => {
    const config = readFileSync(join(repositoryDir, compose.configs.nats?.file ?? ""), "utf8");
    expect(config).toMatch(/^ {2}sync_interval: always$/m);
  });
});

// What stands in braces, so that it is none of this file's own.
const braced = (inner: string) => `\u0024{${inner}}`;

describe("a variable in docker-compose.yml", () => {
  it.each([
    [braced("A"), "a"],
    ["$A$$A", "a$A"],
    [braced("NONE"), ""],
    [braced("NONE:-b"), "b"],
    [braced("EMPTY:-b") + braced("EMPTY-b"), "b"],
    [braced("A:-b") + braced("A:?c"), "aa"],
    [`$${braced("A##*:")}`, braced("A##*:")],
  ])("%j is %j", (text, value) => {
    expect(interpolate(text, { A: "a", EMPTY: "" })).toBe(value);
  });

  it("that is asked for and empty is told of", () => {
    expect(() => interpolate(braced("EMPTY:?set it"), { EMPTY: "" })).toThrow("set it");
    expect(interpolate(braced("EMPTY?set it"), { EMPTY: "" })).toBe("");
  });

  it("that nobody reads is refused by the service that gets it", () => {
    expect(() => readTickerConfig({ ...serviceOf("ticker").environment, CARILLON_TICKER: "x" })).toThrow(ConfigError);
  });
});

describe("the health check of each service", () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  const checks = guarded.map(([name, { healthcheck }]) => [name, healthcheck?.test ?? []] as const);

  /** Its exit code, run as Docker runs it: in the environment of the container. */
  async function run([kind = "", ...command]: readonly string[], port: number): Promise<number> {
    expect(kind).toBe("CMD");
    const env = { PATH: process.env.PATH ?? "", CARILLON_OPS_ADDR: `0.0.0.0:${port}` };
    const [program = "", ...args] = command;
    return promisify(execFile)(program, args, { env }).then(
      () => 0,
      (error: { code: number }) => error.code,
    );
  }

  /** A port where this is done with each connection. */
  async function listen(onConnection: (write: (text: string) => void) => void): Promise<number> {
    const sockets = new Set<{ destroy(): void }>();
    const server = createServer((socket) => {
      sockets.add(socket.on("error", () => undefined));
      socket.once("data", () => onConnection((text) => socket.write(text)));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    closing.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    });
    const address = server.address();
    return address && typeof address === "object" ? address.port : 0;
  }

  it("is one and the same, and starts no Node", () => {
    for (const [, test] of checks) expect(test).toEqual(checks[0]?.[1]);
    expect(checks.map(([name]) => name)).toEqual(["registry", "ticker", "executor", "history"]);
    expect(checks[0]?.[1][1]).toBe("bash");
  });

  it("passes while the process answers, whatever it depends on", async () => {
    const ops = createOpsServer({
      address: { host: "127.0.0.1", port: 0 },
      metrics: createMetrics("ticker"),
      metricsToken: "s3cret",
      ready: () => false,
      log: createLog("compose", "silent"),
    });
    await ops.start();
    const { port } = ops.address();
    expect(await run(checks[0]?.[1] ?? [], port)).toBe(0);
    await ops.stop();
    expect(await run(checks[0]?.[1] ?? [], port)).toBe(1);
  });

  it("fails for one that hangs, and for one that answers otherwise", async () => {
    expect(await run(checks[0]?.[1] ?? [], await listen(() => undefined))).toBe(1);
    const failing = await listen((write) => write("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
    expect(await run(checks[0]?.[1] ?? [], failing)).toBe(1);
  });
});
