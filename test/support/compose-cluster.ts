import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type ComposeService, readComposeFile } from "./compose-file.ts";
import { repositoryDir, testNatsServer } from "./nats.ts";
import { createBridge, createContainer, ensureNamespaceTools, type NetContainer } from "./net-container.ts";

const apiToken = "api-token";
export const brokers = ["nats-1", "nats-2", "nats-3"] as const;

/** A call that the target had. */
export interface Hit {
  /** Its Idempotency-Key: the job and the second. */
  execution: string;
  atMs: number;
  path: string;
}

export interface Answer {
  status: number;
  text: string;
}

/** docker-compose.yml without an engine: each service's own command, as processes in namespaces of their own. */
export interface ComposeCluster {
  readonly hits: readonly Hit[];
  /** The replicas of a service, the oldest first. */
  of(service: string): readonly NetContainer[];
  one(service: string): NetContainer;
  /** As `docker compose up --scale service=count`: the newest go first. */
  scale(service: string, count: number): Promise<void>;
  /** As `docker compose restart` of these, in this order. */
  restart(...services: string[]): Promise<void>;
  /** A container made again under another address, on the same volume; the old address swallows what is sent to it. */
  recreate(service: string): Promise<void>;
  /** What Docker would run in each of its containers to see that it is alive. */
  healthCheck(service: string): readonly string[];
  /** The broker that leads a stream, as the monitoring of one of them says; undefined: none does, or none that it knows. */
  leaderOf(stream: string): Promise<string | undefined>;
  /** What the front door answers. */
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

// The image's user.
const nodeUid = 1_000;
const targetScript = `require("node:http").createServer((request, response) => {
  console.log(JSON.stringify({ execution: request.headers["idempotency-key"], atMs: Date.now(), path: request.url }));
  request.resume().on("end", () => response.end("ok"));
}).listen(3000, "0.0.0.0", () => console.log("listening"))`;
// A door from this process into the network: from a socket in a folder to the registry, wherever it is by now.
const gatewayScript = `const { readFileSync } = require("node:fs");
const { connect, createServer } = require("node:net");
createServer((here) => {
  const line = readFileSync(process.argv[2], "utf8").split("\\n").find((line) => line.endsWith(" registry"));
  const there = connect(8080, line.split(" ")[0]);
  for (const [one, other] of [[here, there], [there, here]]) one.on("error", () => other.destroy()).on("close", () => other.destroy());
  here.pipe(there).pipe(here);
}).listen(process.argv[1], () => console.log("listening"))`;

const folderPrefix = "carillon-compose-";

/** Folders of runs that were killed: their processes ended with them. */
async function removeLeftOvers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(folderPrefix) ? name.slice(folderPrefix.length).split("-")[0] : undefined;
    if (pid && !existsSync(`/proc/${pid}`)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

export async function startComposeCluster(env: Record<string, string> = {}): Promise<ComposeCluster> {
  await ensureNamespaceTools((line) => console.error(line));
  const compose = readComposeFile({ CARILLON_API_TOKENS: apiToken, CARILLON_INTERNAL_TOKEN: "internal-token", ...env });
  const binary = await testNatsServer();
  await removeLeftOvers();
  const workDir = await mkdtemp(join(tmpdir(), `${folderPrefix}${process.pid}-`));
  await chmod(workDir, 0o755);
  const hostsFile = join(workDir, "hosts");
  await writeFile(hostsFile, "127.0.0.1 localhost\n");
  const bridge = await createBridge();
  const containers = new Map<string, NetContainer[]>();
  const removed: string[] = [];
  const hits: Hit[] = [];
  let last = 0;
  let gateway: ChildProcess | undefined;

  const writeHosts = async () => {
    const names = [...containers].flatMap(([name, replicas]) => replicas.map(({ ip }) => `${ip} ${name}`));
    // In place: it is mounted in each container.
    await writeFile(hostsFile, `127.0.0.1 localhost\n${names.join("\n")}\n`);
  };

  const create = async (
    name: string,
    service: ComposeService,
    onLine?: (line: string) => void,
  ): Promise<NetContainer> => {
    const number = ++last;
    const rootDir = join(workDir, `root-${number}`);
    await mkdir(rootDir);
    const uid = name.startsWith("nats") ? 0 : nodeUid;
    const [volumeName] = service.volumes?.[0]?.split(":") ?? [];
    const volume = volumeName && join(workDir, "volumes", volumeName);
    if (volume) {
      await mkdir(volume, { recursive: true });
      await chown(volume, uid, uid);
    }
    const [config] = service.configs ?? [];
    const file = config && compose.configs[config.source]?.file;
    const container = await createContainer({
      bridge,
      ip: `10.77.${1 + Math.floor(number / 200)}.${1 + (number % 200)}`,
      hostname: randomBytes(6).toString("hex"),
      rootDir,
      hostsFile,
      binaries: dirname(binary),
      command: service.command,
      env: service.environment ?? {},
      uid,
      ...(volume && { volume }),
      ...(onLine && { onLine }),
      ...(file && { config: join(repositoryDir, file) }),
    });
    for (const dead of removed) await container.blackhole(dead);
    containers.set(name, [...(containers.get(name) ?? []), container]);
    return container;
  };
  const serviceOf = (name: string): ComposeService => {
    const service = compose.services[name];
    if (!service) throw new Error(`no service ${name}`);
    return service;
  };
  const of = (name: string) => containers.get(name) ?? [];
  const one = (name: string) => {
    const [container] = of(name);
    if (!container) throw new Error(`no container of ${name}`);
    return container;
  };
  const remove = async (name: string, container: NetContainer) => {
    containers.set(
      name,
      of(name).filter((other) => other !== container),
    );
    await writeHosts();
    await container.signal("SIGTERM");
    await container.remove();
    removed.push(container.ip);
    for (const others of containers.values()) for (const other of others) await other.blackhole(container.ip);
  };
  const scale = async (name: string, count: number) => {
    for (const container of of(name).slice(count)) await remove(name, container);
    while (of(name).length < count) await create(name, serviceOf(name));
    await writeHosts();
    for (const container of of(name)) await container.start();
  };

  const cluster: ComposeCluster = {
    hits,
    of,
    one,
    scale,
    async restart(...names) {
      for (const name of names) {
        for (const container of of(name)) {
          await container.signal("SIGTERM");
          await container.start();
        }
      }
    },
    async recreate(name) {
      await remove(name, one(name));
      await scale(name, 1);
    },
    healthCheck: (name) => serviceOf(name).healthcheck?.test.slice(1) ?? [],
    async leaderOf(stream) {
      const script = `fetch("http://127.0.0.1:8222/jsz?streams=true").then((r) => r.json())
        .then((j) => console.log(j.account_details[0].stream_detail.find((s) => s.name === "${stream}").cluster.leader))`;
      const asked = brokers.map(one).find(({ running }) => running);
      const said = (await asked?.exec(["node", "-e", script]).catch(() => undefined))?.trim();
      return brokers.find((name) => name === said);
    },
    call: (method, path, body) =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${apiToken}`, host: "registry", "content-type": "application/json" };
        const call = request({ socketPath: join(workDir, "door"), method, path, headers, agent: false }, (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => {
            text += chunk;
          });
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
          response.on("error", reject);
        });
        call.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
      }),
    async stop() {
      gateway?.kill("SIGKILL");
      for (const replicas of containers.values()) for (const container of replicas) await container.remove();
      await bridge.end();
      await rm(workDir, { recursive: true, force: true });
    },
  };

  try {
    for (const name of brokers) await create(name, serviceOf(name));
    await writeHosts();
    for (const name of brokers) await one(name).start();
    const target = await create("target", { image: "", command: ["node", "-e", targetScript] }, (line) => {
      if (line.startsWith("{")) hits.push(JSON.parse(line) as Hit);
    });
    await writeHosts();
    await target.start();
    const gatewayCommand = [process.execPath, "-e", gatewayScript, join(workDir, "door"), hostsFile];
    gateway = spawn("nsenter", ["-t", String(bridge.pid), "-n", "-p", "--", ...gatewayCommand], { stdio: "ignore" });
    for (const [name, { scale: count = 1, profiles }] of Object.entries(compose.services)) {
      if (!name.startsWith("nats") && !profiles) await scale(name, count);
    }
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}
