import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { reservePorts } from "../../services/launcher/children/ports.ts";
import { natsConfig, natsReady } from "../../services/launcher/nats/nats-server.ts";
import { findNatsServer } from "../../services/launcher/nats/nats-server-binary.ts";
import { userCacheDir } from "../../services/launcher/nats/nats-server-cache.ts";
import { systemClock } from "../../services/platform/process/clock.ts";

export const repositoryDir = resolve(import.meta.dirname, "../..");
/** One nats-server for all tests and starts of a user, fetched once; here where the user has no place for it. */
const natsBinDir = join(repositoryDir, ".carillon/bin");
const natsCacheDirs = [userCacheDir(process.env), natsBinDir].filter((dir) => dir !== undefined);
/** What a launcher has to know in order to find it there. */
export const natsCacheEnv = Object.fromEntries(
  ["HOME", "XDG_CACHE_HOME"].flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
) as Record<string, string>;

const leaderlessArgs = [
  ...["--name", "lone", "--cluster_name", "test"],
  ...["--cluster", "nats://127.0.0.1:-1", "--routes", "nats://127.0.0.1:1"],
];

export interface NatsOptions {
  /** Kept at the end when it is given; a temporary folder otherwise. */
  storeDir?: string;
  port?: number;
  /** `default` (no fsync a message) is quicker, and right where no test is about power cuts. */
  sync?: "always" | "default";
  /** Default: true. Without JetStream it takes clients and keeps nothing. */
  jetStream?: boolean;
  /** One of a cluster whose others are away: it takes clients, and answers after a while that JetStream is not available. */
  leaderless?: boolean;
  /** What its streams may take. Default: three quarters of the free disk. */
  maxStoreBytes?: number;
}

export interface Nats {
  readonly url: string;
  readonly port: number;
  /** Of the process that runs now, or ran last. */
  readonly pid: number;
  readonly storeDir: string;
  /** Resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again, on the same port and store, after stopping it when it still runs. */
  restart(changed?: Pick<NatsOptions, "maxStoreBytes">): Promise<void>;
  /** Idempotent; removes the temporary folder. */
  stop(): Promise<void>;
}

/** The path of a nats-server for tests. */
export function testNatsServer(): Promise<string> {
  return findNatsServer({
    searchPath: process.env.PATH ?? "",
    cacheDirs: natsCacheDirs,
    step(label) {
      console.error(label);
      return { say: () => {}, end: () => {} };
    },
    signal: new AbortController().signal,
    clock: systemClock,
  });
}

/** A real nats-server with JetStream, on a port of its own. Resolves when it takes clients. */
export async function startNats(options: NatsOptions = {}): Promise<Nats> {
  const binary = await testNatsServer();
  const workDir = await mkdtemp(join(tmpdir(), "carillon-nats-"));
  const storeDir = options.storeDir ?? join(workDir, "store");
  await mkdir(storeDir, { recursive: true });
  const ports = options.port === undefined ? await reservePorts(workDir) : undefined;
  const port = options.port ?? ports?.take() ?? 0;
  const host = "127.0.0.1";
  const configFile = join(workDir, "nats.conf");
  const configure = ({ maxStoreBytes }: Pick<NatsOptions, "maxStoreBytes">) => {
    const limit = maxStoreBytes === undefined ? {} : { maxStoreBytes };
    return writeFile(configFile, natsConfig({ host, port, storeDir, sync: options.sync ?? "default", ...limit }));
  };
  await configure(options);

  let child: ChildProcess;
  let stderr = "";
  const killAtExit = () => child.kill("SIGKILL");
  process.on("exit", killAtExit);

  const launch = async () => {
    const args = options.jetStream === false ? ["-a", host, "-p", String(port)] : ["-c", configFile];
    if (options.leaderless) args.push(...leaderlessArgs);
    const started = spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"] });
    child = started;
    stderr = "";
    started.stderr.setEncoding("utf8").on("data", (text: string) => {
      // The last words are what tells why it died.
      stderr = (stderr + text).slice(-16_384);
    });
    const died = new AbortController();
    started.once("exit", () => died.abort());
    await natsReady(host, port, systemClock, died.signal);
    if (died.signal.aborted) throw new Error(`nats-server died at its start:\n${stderr}`);
  };
  const kill = async (signal: NodeJS.Signals = "SIGKILL") => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    await kill("SIGKILL");
    process.off("exit", killAtExit);
    await ports?.release();
    await rm(workDir, { recursive: true, force: true });
  };

  await launch();
  return {
    url: `nats://${host}:${port}`,
    port,
    storeDir,
    get pid() {
      return child.pid ?? 0;
    },
    kill,
    async restart(changed) {
      await kill("SIGTERM");
      if (changed) await configure(changed);
      await launch();
    },
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}
