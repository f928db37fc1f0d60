import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readEnvironment } from "../../../services/platform/process/environment.ts";
import { repositoryDir } from "../../support/nats.ts";

interface Service {
  image: string;
  build?: string;
  pull_policy?: string;
  command: string[];
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  healthcheck: { test: string[] };
}

const file = readFileSync(join(repositoryDir, "docker-compose.yml"), "utf8");
const compose: {
  services: Record<string, Service>;
  volumes: Record<string, null>;
  configs: Record<string, { content: string }>;
} = parse(file, { merge: true });
const services = Object.entries(compose.services);
const ours = services.filter(([name]) => !name.startsWith("nats"));

describe("docker-compose.yml", () => {
  it("has three brokers, a registry, two tickers, two executors and history", () => {
    const names = "nats-1 nats-2 nats-3 registry ticker-1 ticker-2 executor-1 executor-2 history";
    expect(Object.keys(compose.services)).toEqual(names.split(" "));
  });

  it.each(
    ours,
  )("%s runs a file that exists, with variables that it knows, and is asked on its own port", (_, service) => {
    expect(service.command[0]).toBe("node");
    expect(existsSync(join(repositoryDir, service.command[1] ?? ""))).toBe(true);
    const read = readEnvironment(service.environment ?? {});
    const { port } = read.address("CARILLON_OPS_ADDR", "");
    expect(() => read.done()).not.toThrow();
    expect(service.healthcheck.test.at(-1)).toContain(`:${port}/livez`);
    expect(service.environment?.CARILLON_REPLICAS).toBe("3");
  });

  it("will not start without tokens, publishes the registry's ports only, and declares each volume that it mounts", () => {
    expect(file).toMatch(/CARILLON_API_TOKENS:\?/);
    expect(file).toMatch(/CARILLON_INTERNAL_TOKEN:\?/);
    expect(services.filter(([, { ports }]) => ports).map(([name]) => name)).toEqual(["registry"]);
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(":")[0]));
    expect(mounted.sort()).toEqual(Object.keys(compose.volumes).sort());
  });

  it("builds one image, once, and runs every service from it", () => {
    expect(new Set(ours.map(([, { image }]) => image)).size).toBe(1);
    expect(ours.filter(([, { build }]) => build).map(([name]) => name)).toEqual(["registry"]);
    expect(ours.every(([, service]) => service.pull_policy === "never")).toBe(true);
  });

  it("has the broker flush each message", () => {
    expect(compose.configs.nats?.content).toMatch(/sync_interval: always/);
  });
});
