import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Addresses } from "../../services/launcher/children/services.ts";
import { formatAddress } from "../../services/platform/process/environment.ts";
import { repositoryDir } from "./nats.ts";

export interface SystemOptions {
  /** Beside what this process inherits; CARILLON_* and NATS_URL of its own environment are not passed on. */
  env?: Record<string, string>;
  /** Kept at the end when it is given; a temporary folder otherwise. */
  dataDir?: string;
  /** Is handed what the launcher prints, also before the system is ready. */
  onOutput?: (text: string) => void;
}

export type ProcessName = "launcher" | "nats-server" | "registry" | "ticker" | "executor" | "history";

export interface System {
  readonly httpUrl: string;
  /** host:port of the front door's gRPC. */
  readonly grpcAddr: string;
  readonly addresses: Addresses;
  readonly dataDir: string;
  readonly launcherPid: number;
  /** Of the process that runs now; throws while there is none. */
  pidOf(name: ProcessName): number;
  /** Sends a signal; the launcher restarts what dies of it. */
  kill(name: ProcessName, signal?: NodeJS.Signals): void;
  /** kill -9 of everything, the launcher first so that it starts nothing again. Resolves when the launcher is gone. */
  killAll(): Promise<void>;
  /** What the system printed so far. */
  logs(): string;
  /** Stops it in order, and answers with the launcher's exit code. Idempotent; removes the temporary folder. */
  stop(): Promise<number | null>;
  /** Starts again on the same ports and data, after stopping what still runs. */
  restart(): Promise<void>;
}

// Only the tail tells something when a long test fails.
const keptLogBytes = 1_000_000;

/** The whole system, by the real launcher, on ports of its own. Resolves when every service is ready. */
export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "carillon-system-")));
  let front = { CARILLON_HTTP_ADDR: "127.0.0.1:0", CARILLON_GRPC_ADDR: "127.0.0.1:0" };
  let output = "";
  let launcher: ChildProcess;
  let exited: Promise<number | null>;
  let addresses: Addresses;
  const killAtExit = () => launcher.kill("SIGKILL");

  const launch = async () => {
    const child = spawn(process.execPath, [join(repositoryDir, "services/launcher/main.ts")], {
      env: { ...inherited(), ...front, ...options.env, CARILLON_DATA_DIR: dataDir },
      stdio: ["ignore", "pipe", "pipe"],
    });
    launcher = child;
    exited = once(child, "exit").then(([code]) => code as number | null);
    const started = Promise.withResolvers<void>();
    const listen = (text: string) => {
      output = (output + text).slice(-keptLogBytes);
      options.onOutput?.(text);
      if (output.includes("Carillon is running.")) started.resolve();
    };
    output = "";
    child.stdout.setEncoding("utf8").on("data", listen);
    child.stderr.setEncoding("utf8").on("data", listen);
    void exited.then((code) => started.reject(new Error(`the launcher ended with ${code}:\n${output}`)));
    await started.promise;
    addresses = JSON.parse(await readFile(join(dataDir, "run/addresses.json"), "utf8")) as Addresses;
    front = {
      CARILLON_HTTP_ADDR: formatAddress(addresses.http),
      CARILLON_GRPC_ADDR: formatAddress(addresses.grpc.registry),
    };
  };
  const pidOf = (name: ProcessName) => {
    const pid = Number(readFileSync(join(dataDir, "run", `${name}.pid`), "utf8"));
    if (!Number.isInteger(pid) || pid < 2) throw new Error(`${name} has no process at this moment`);
    return pid;
  };
  const pidIfAny = (name: ProcessName) => {
    try {
      return pidOf(name);
    } catch {
      // It died just now and waits for its restart.
      return undefined;
    }
  };
  const end = async () => {
    if (launcher.exitCode === null && launcher.signalCode === null) launcher.kill("SIGTERM");
    return exited;
  };
  let stopping: Promise<number | null> | undefined;

  process.on("exit", killAtExit);
  await launch();
  return {
    get httpUrl() {
      return `http://${formatAddress(addresses.http)}`;
    },
    get grpcAddr() {
      return formatAddress(addresses.grpc.registry);
    },
    get addresses() {
      return addresses;
    },
    dataDir,
    get launcherPid() {
      return launcher.pid ?? 0;
    },
    pidOf,
    kill: (name, signal = "SIGKILL") => process.kill(pidOf(name), signal),
    async killAll() {
      const names = ["nats-server", "registry", "ticker", "executor", "history"] as const;
      const pids = names.flatMap((name) => pidIfAny(name) ?? []);
      launcher.kill("SIGKILL");
      for (const pid of pids) killIfAlive(pid);
      await exited;
    },
    logs: () => output,
    stop() {
      stopping ??= end().then(async (code) => {
        process.off("exit", killAtExit);
        if (options.dataDir === undefined) await removeDir(dataDir);
        return code;
      });
      return stopping;
    },
    async restart() {
      await end();
      await launch();
    },
  };
}

function inherited(): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = { ...process.env };
  for (const name of Object.keys(env)) {
    // VITEST and its like would tell the services that they are under test.
    if (
      name.startsWith("CARILLON_") ||
      name === "NATS_URL" ||
      name.startsWith("VITEST") ||
      name === "npm_lifecycle_event"
    )
      delete env[name];
  }
  return env;
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself in between.
  }
}

/** The orphans of a killed launcher may still write their last. */
async function removeDir(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }).catch(() => undefined);
}
