import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { type Clock, systemSecret } from "../platform/process/clock.ts";
import { type Address, type Environment, formatAddress, parseNatsUrl } from "../platform/process/environment.ts";
import { exitCodes } from "../platform/process/exit-codes.ts";
import type { Startable } from "../platform/process/lifecycle.ts";
import type { Log } from "../platform/process/log.ts";
import { parseEntry } from "../platform/process/log-text.ts";
import { type AddressPlan, planAddresses } from "./children/addresses.ts";
import { type Child, type ChildSpec, createChild } from "./children/child.ts";
import { startCommand } from "./children/external.ts";
import { createLinePrefixer } from "./children/line-prefixer.ts";
import { endOrphans } from "./children/orphans.ts";
import { serviceReady } from "./children/readiness.ts";
import {
  type Addresses,
  instanceMark,
  mainFile,
  type ServiceName,
  serviceEnvironment,
  serviceNames,
  stopOrder,
} from "./children/services.ts";
import type { LauncherConfig } from "./config.ts";
import { type DataDir, openDataDir } from "./data-dir.ts";
import { createBrokerCare } from "./nats/broker-care.ts";
import { isNatsWarning, natsConfig, natsReady } from "./nats/nats-server.ts";
import { findNatsServer } from "./nats/nats-server-binary.ts";
import { complaintOfNatsUrl } from "./nats/nats-url-check.ts";
import { storeRoom } from "./nats/store-room.ts";
import { stopInOrder } from "./stop-in-order.ts";
import type { Terminal } from "./terminal.ts";

export interface LauncherDeps {
  clock: Clock;
  terminal: Terminal;
}

export interface Launcher {
  /** Resolves when every service does its work. Rejects, with everything stopped again, when one cannot start. */
  start(): Promise<Addresses>;
  /** Idempotent; may come during start. True when everything ended by itself. */
  stop(): Promise<boolean>;
  /** Kills what is left at once; a running stop then ends. */
  kill(): void;
  /** Resolves with the name of the first service that has refused its configuration. It is not started again. */
  readonly refusal: Promise<string>;
}

/** When each step of a stop must be over, since its begin: ten seconds in all. */
const stopUntilMs = { ticker: 2_000, executor: 8_000, history: 9_000, registry: 9_500, "nats-server": 9_900 } as const;
/** A service that dies this often before it was ready once will not get better by itself. */
const mostTries = 3;
/** As SQLite and the system say it. */
const diskFull = /disk is full|ENOSPC|no space left/;
const remindEveryMs = 5_000;
const internalTokenBytes = 24;
// As wide as the longest name, so that the logs stand in columns.
const nameWidth = Math.max(...serviceNames.map((name) => name.length), "nats-server".length);
// Where nats-server was kept before there was one cache for all.
const formerBinDir = join(import.meta.dirname, "../../.carillon/bin");

/** The whole system on one machine: a broker and the four services, as child processes. */
export function createLauncher(config: LauncherConfig, deps: LauncherDeps): Launcher {
  const { clock } = deps;
  const { progress, dress, paintName } = deps.terminal;
  const prefixOf = (name: string) => `${paintName(name.padEnd(nameWidth))} | `;
  const ownLines = createLinePrefixer({ prefix: prefixOf("launcher"), dress, write: progress.write });
  const log = pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line: string) => ownLines.push(line) },
  );
  const aborted = new AbortController();
  const forced = new AbortController();
  const refusal = Promise.withResolvers<string>();
  const children = new Map<string, Child>();
  let dataDir: DataDir | undefined;
  let plan: AddressPlan | undefined;
  let care: Startable | undefined;
  let stopping: Promise<boolean> | undefined;
  let beginning: Promise<Addresses> | undefined;

  const notePid = (data: DataDir, name: string, pid: number) => {
    try {
      data.writePid(name, pid);
    } catch (error) {
      // On a full disk. It is there for the next start, and must not end this one.
      log.warn({ event: "pid_not_noted", child: name, pid, err: error });
    }
  };

  /** Starts a child; resolves true when `ready` does, false on stop. Rejects when it keeps dying before. */
  const launch = async (data: DataDir, spec: ChildSpec, ready: (signal: AbortSignal) => Promise<unknown>) => {
    if (aborted.signal.aborted) return;
    const hopeless = new AbortController();
    const signal = AbortSignal.any([aborted.signal, hopeless.signal]);
    let lastWords = "its own lines above say why";
    const child = createChild(spec, {
      clock,
      log,
      write: progress.write,
      prefix: prefixOf(spec.name),
      dress(line) {
        lastWords = fatalReason(line) ?? lastWords;
        return dress(line);
      },
      onSpawn: (pid) => notePid(data, spec.name, pid),
      onGone: () => data.removePid(spec.name),
      onDeath: (deaths) => {
        if (deaths >= mostTries) hopeless.abort();
      },
      onRefusal: () => refusal.resolve(spec.name),
    });
    children.set(spec.name, child);
    child.start();
    await ready(signal);
    if (hopeless.signal.aborted) {
      const advice = diskFull.test(lastWords)
        ? `: make room on the disk of ${data.path}, or set CARILLON_DATA_DIR to another folder.`
        : "";
      throw new Error(`${spec.name} does not start: ${lastWords}${advice}`);
    }
  };

  /** A service that somebody starts by hand, and again as often as they like: only its first readiness is waited for. */
  const waitForExternal = async (name: ServiceName, env: Environment, ops: Address) => {
    if (aborted.signal.aborted) return;
    progress.write(`\n${name} is for you to start:\n\n  ${startCommand(name, env)}\n\n`);
    const cancelReminder = remind(clock, () => log.info({ event: "waiting_for_external", service: name }));
    await serviceReady(ops, clock, aborted.signal).finally(cancelReminder);
  };

  /** Someone else's broker. */
  const waitForBrokers = async (url: string) => {
    const servers = url.split(",").flatMap((one) => parseNatsUrl(one) ?? []);
    const step = progress.begin(`waiting for NATS at ${url}`);
    const complaint = await complaintOfNatsUrl(url, servers, clock, aborted.signal);
    step.end();
    if (complaint !== undefined) throw new Error(complaint);
  };

  /** Resolves with what its streams may take, where a broker is started here. */
  const startNats = async (data: DataDir, { nats }: AddressPlan): Promise<number | undefined> => {
    if (!nats) {
      await waitForBrokers(config.natsUrl ?? "");
      return undefined;
    }
    const binary = await findNatsServer({
      searchPath: config.searchPath,
      cacheDirs: [...(config.cacheDir === undefined ? [] : [config.cacheDir]), data.binDir, formerBinDir],
      step: progress.begin,
      signal: aborted.signal,
      clock,
    });
    const step = progress.begin("starting nats-server");
    await mkdir(data.natsStoreDir, { recursive: true });
    const storeDir = data.natsStoreDir;
    const { streamsBytes, serverBytes } = await storeRoom(storeDir, config.brokerMaxBytes);
    const settings = natsConfig({ ...nats, storeDir, sync: "always", maxStoreBytes: serverBytes });
    await writeFile(data.natsConfigFile, settings);
    const spec: ChildSpec = {
      name: "nats-server",
      command: binary,
      args: ["-c", data.natsConfigFile],
      env: config.inherited,
      channel: false,
      // To SIGTERM it answers with exit code 1 even when all went well.
      stopSignal: "SIGINT",
      ...(log.isLevelEnabled("debug") ? {} : { keepLine: isNatsWarning }),
    };
    await launch(data, spec, (signal) => natsReady(nats.host, nats.port, clock, signal));
    step.end();
    if (aborted.signal.aborted) return streamsBytes;
    const healthUrl = `http://${formatAddress({ host: nats.host, port: nats.monitorPort })}/healthz`;
    care = createBrokerCare({ storeDir, healthUrl, restart: () => children.get(spec.name)?.restart() }, { clock, log });
    await care.start();
    return streamsBytes;
  };

  const startServices = (data: DataDir, { addresses }: AddressPlan, brokerMaxBytes: number | undefined) => {
    // Where the front door is locked, history's own port must not stand open beside it.
    const internalToken = config.needsInternalToken ? systemSecret(internalTokenBytes) : undefined;
    const waiting = new Set<string>(serviceNames.filter((name) => !config.external.has(name)));
    const step = progress.begin("starting", [...waiting].join(", "));
    const started = (name: string) => {
      waiting.delete(name);
      if (waiting.size === 0) step.end();
      else step.say([...waiting].join(", "));
    };
    return Promise.all(
      serviceNames.map((name) => {
        const env = serviceEnvironment(name, config.inherited, data.path, addresses, { internalToken, brokerMaxBytes });
        if (config.external.has(name)) return waitForExternal(name, env, addresses.ops[name]);
        const spec: ChildSpec = {
          name,
          command: process.execPath,
          args: [mainFile(name), instanceMark(data.path)],
          // Made readable here, where it is to be.
          env: { ...env, CARILLON_LOG_FORMAT: "json" },
          channel: true,
          stopSignal: "SIGTERM",
          refusalCode: exitCodes.badConfiguration,
        };
        return launch(data, spec, (signal) => serviceReady(addresses.ops[name], clock, signal)).then(() =>
          started(name),
        );
      }),
    );
  };

  const begin = async (): Promise<Addresses> => {
    const data = openDataDir(config.dataDir);
    dataDir = data;
    data.writePid("launcher", process.pid);
    const step = progress.begin("ending what a start before this one left behind");
    await endLeftovers(data, clock, log, aborted.signal);
    step.end();
    plan = await planAddresses(config);
    const brokerMaxBytes = await startNats(data, plan);
    await startServices(data, plan, brokerMaxBytes);
    if (!aborted.signal.aborted) data.writeAddresses(plan.addresses);
    return plan.addresses;
  };

  const end = async (): Promise<boolean> => {
    aborted.abort();
    const step = progress.begin("stopping");
    // What it has begun it ends by itself: a fetch leaves nothing half done.
    await Promise.race([beginning?.catch(() => undefined), abortOf(forced.signal)]);
    await care?.stop();
    const steps = [...stopOrder, "nats-server" as const].flatMap((name) => {
      const child = children.get(name);
      return child ? [{ child, untilMs: stopUntilMs[name] }] : [];
    });
    const drained = await stopInOrder(steps, clock, forced.signal);
    await plan?.block.release();
    dataDir?.removeAddresses();
    dataDir?.removePid("launcher");
    dataDir?.release();
    step.end();
    return drained;
  };

  const stop = () => {
    stopping ??= end();
    return stopping;
  };

  return {
    async start() {
      try {
        beginning = begin();
        return await beginning;
      } catch (error) {
        await stop();
        throw error;
      }
    },
    stop,
    kill: () => forced.abort(),
    refusal: refusal.promise,
  };
}

/** The message of the error that ended a service, when this is the line that tells of it. */
function fatalReason(line: string): string | undefined {
  if (!line.startsWith('{"level":60')) return undefined;
  return parseEntry(line)?.err?.message;
}

function abortOf(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The services of a killed launcher first: they may still drain, and need their broker for it. */
async function endLeftovers(data: DataDir, clock: Clock, log: Log, giveUp: AbortSignal): Promise<void> {
  const mark = instanceMark(data.path);
  const services = serviceNames.map((name) => ({
    name,
    pid: data.readPid(name),
    mark,
    stopSignal: "SIGTERM" as const,
  }));
  await endOrphans(services, clock, log, giveUp);
  const nats = { name: "nats-server", pid: data.readPid("nats-server"), mark: data.natsConfigFile };
  await endOrphans([{ ...nats, stopSignal: "SIGINT" }], clock, log, giveUp);
}

/** Calls back again and again until the returned function is called. */
function remind(clock: Clock, callback: () => void): () => void {
  let cancel = () => {};
  const again = () => {
    cancel = clock.after(remindEveryMs, () => {
      callback();
      again();
    });
  };
  again();
  return () => cancel();
}
