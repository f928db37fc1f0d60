import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { type Clock, systemSecret } from "../platform/process/clock.ts";
import { type Address, type Environment, formatAddress, parseNatsUrl } from "../platform/process/environment.ts";
import { exitCodes } from "../platform/process/exit-codes.ts";
import type { Startable } from "../platform/process/lifecycle.ts";
import type { Log } from "../platform/process/log.ts";
import { type AddressPlan, planAddresses } from "./children/addresses.ts";
import { type Child, type ChildSpec, createChild } from "./children/child.ts";
import { startCommand } from "./children/external.ts";
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
import { storeRoom } from "./nats/store-room.ts";
import { stopInOrder } from "./stop-in-order.ts";

export interface LauncherDeps {
  clock: Clock;
  /** Takes whole lines, for the terminal or whatever stands in its place. */
  write: (text: string) => void;
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
const remindEveryMs = 5_000;
const internalTokenBytes = 24;
// As wide as the longest name, so that the logs stand in columns.
const nameWidth = Math.max(...serviceNames.map((name) => name.length), "nats-server".length);
// nats-server beside this repository: another data folder need not fetch its own.
const sharedBinDir = join(import.meta.dirname, "../../.carillon/bin");

/** The whole system on one machine: a broker and the four services, as child processes. */
export function createLauncher(config: LauncherConfig, deps: LauncherDeps): Launcher {
  const { clock } = deps;
  const log = pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line: string) => deps.write(`${prefixOf("launcher")}${line}`) },
  );
  const aborted = new AbortController();
  const forced = new AbortController();
  const refusal = Promise.withResolvers<string>();
  const children = new Map<string, Child>();
  let dataDir: DataDir | undefined;
  let plan: AddressPlan | undefined;
  let care: Startable | undefined;
  let stopping: Promise<boolean> | undefined;

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
    const child = createChild(spec, {
      clock,
      log,
      write: deps.write,
      prefix: prefixOf(spec.name),
      onSpawn: (pid) => notePid(data, spec.name, pid),
      onGone: () => data.removePid(spec.name),
      onDeath: (deaths) => {
        if (deaths >= mostTries) hopeless.abort();
      },
      onRefusal: () => refusal.resolve(spec.name),
    });
    children.set(spec.name, child);
    child.start();
    const cancelReminder = remind(clock, () => log.info({ event: "waiting_for", child: spec.name }));
    await ready(signal).finally(cancelReminder);
    if (hopeless.signal.aborted) throw new Error(`${spec.name} does not start: its own lines above say why`);
  };

  /** A service that somebody starts by hand, and again as often as they like: only its first readiness is waited for. */
  const waitForExternal = async (name: ServiceName, env: Environment, ops: Address) => {
    if (aborted.signal.aborted) return;
    deps.write(`\n${name} is for you to start:\n\n  ${startCommand(name, env)}\n\n`);
    const cancelReminder = remind(clock, () => log.info({ event: "waiting_for_external", service: name }));
    await serviceReady(ops, clock, aborted.signal).finally(cancelReminder);
  };

  /** Someone else's broker: it is named when it keeps us waiting. */
  const waitForBrokers = async () => {
    const brokers = (config.natsUrl ?? "").split(",").flatMap((url) => parseNatsUrl(url) ?? []);
    const found = new AbortController();
    const signal = AbortSignal.any([aborted.signal, found.signal]);
    let said = false;
    const cancelReminder = remind(clock, () => {
      log.warn({ event: "waiting_for_nats", url: config.natsUrl });
      if (said) return;
      said = true;
      deps.write(
        `\nno NATS server answers at ${config.natsUrl} yet. Start it (with JetStream), correct NATS_URL,\n` +
          "or leave NATS_URL out: then a server is started here. Waiting ...\n\n",
      );
    });
    await Promise.race(brokers.map(({ host, port }) => natsReady(host, port, clock, signal)));
    cancelReminder();
    found.abort();
  };

  /** Resolves with what its streams may take, where a broker is started here. */
  const startNats = async (data: DataDir, { nats }: AddressPlan): Promise<number | undefined> => {
    if (!nats) {
      await waitForBrokers();
      return undefined;
    }
    const binary = await findNatsServer({
      searchPath: `${config.searchPath}:${sharedBinDir}`,
      binDir: data.binDir,
      say: (line) => deps.write(`${line}\n`),
    });
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
    if (aborted.signal.aborted) return streamsBytes;
    const healthUrl = `http://${formatAddress({ host: nats.host, port: nats.monitorPort })}/healthz`;
    care = createBrokerCare({ storeDir, healthUrl, restart: () => children.get(spec.name)?.restart() }, { clock, log });
    await care.start();
    return streamsBytes;
  };

  const startServices = (data: DataDir, { addresses }: AddressPlan, brokerMaxBytes: number | undefined) => {
    // Where the front door is locked, history's own port must not stand open beside it.
    const internalToken = config.needsInternalToken ? systemSecret(internalTokenBytes) : undefined;
    return Promise.all(
      serviceNames.map((name) => {
        const env = serviceEnvironment(name, config.inherited, data.path, addresses, { internalToken, brokerMaxBytes });
        if (config.external.has(name)) return waitForExternal(name, env, addresses.ops[name]);
        const spec: ChildSpec = {
          name,
          command: process.execPath,
          args: [mainFile(name), instanceMark(data.path)],
          env,
          channel: true,
          stopSignal: "SIGTERM",
          refusalCode: exitCodes.badConfiguration,
        };
        return launch(data, spec, (signal) => serviceReady(addresses.ops[name], clock, signal));
      }),
    );
  };

  const begin = async (): Promise<Addresses> => {
    const data = openDataDir(config.dataDir);
    dataDir = data;
    data.writePid("launcher", process.pid);
    await endLeftovers(data, clock, log);
    plan = await planAddresses(config);
    const brokerMaxBytes = await startNats(data, plan);
    await startServices(data, plan, brokerMaxBytes);
    if (!aborted.signal.aborted) data.writeAddresses(plan.addresses);
    return plan.addresses;
  };

  const end = async (): Promise<boolean> => {
    aborted.abort();
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
    return drained;
  };

  const stop = () => {
    stopping ??= end();
    return stopping;
  };

  return {
    async start() {
      try {
        return await begin();
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

function prefixOf(name: string): string {
  return `${name.padEnd(nameWidth)} | `;
}

/** The services of a killed launcher first: they may still drain, and need their broker for it. */
async function endLeftovers(data: DataDir, clock: Clock, log: Log): Promise<void> {
  const mark = instanceMark(data.path);
  const services = serviceNames.map((name) => ({
    name,
    pid: data.readPid(name),
    mark,
    stopSignal: "SIGTERM" as const,
  }));
  await endOrphans(services, clock, log);
  const nats = { name: "nats-server", pid: data.readPid("nats-server"), mark: data.natsConfigFile };
  await endOrphans([{ ...nats, stopSignal: "SIGINT" }], clock, log);
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
