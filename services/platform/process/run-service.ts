import { type Clock, type Random, systemClock, systemRandom } from "./clock.ts";
import { configOrExit } from "./config-or-exit.ts";
import { type Environment, formatAddress } from "./environment.ts";
import { exitCodes } from "./exit-codes.ts";
import { createLog, type LogFormat, type LogLevel, logStyle } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import type { Service, ServiceDeps } from "./service.ts";

interface LogSettings {
  logLevel: LogLevel;
  logFormat: LogFormat;
}

export interface ServiceDefinition<Config extends LogSettings> {
  /** As it stands in each line of the log, in the metrics and in front of a refused configuration. */
  name: string;
  /** Throws ConfigError with everything that is wrong. */
  readConfig(env: Environment): Config;
  /** Wires the service. It opens nothing: that is for `start`. */
  create(config: Config, deps: ServiceDeps): Service;
}

// Docker and the launcher kill after ten seconds; what is left then should at least be named.
const stopDeadlineMs = 9_000;

/**
 * The whole of a service's main.ts. It reads the configuration, starts the
 * service, and stops it on SIGTERM, on SIGINT, when the launcher that started it
 * is gone, and when nobody reads its output any more. Then the process ends, with
 * one of `exitCodes`.
 *
 * `env` is process.env itself: the zone is written to it.
 */
export function runService<Config extends LogSettings>(
  { name, readConfig, create }: ServiceDefinition<Config>,
  env: NodeJS.ProcessEnv,
  { clock, random }: { clock: Clock; random: Random } = { clock: systemClock, random: systemRandom },
): void {
  // Wall-clock patterns are walked fastest in UTC, and alike everywhere. Node takes up the zone at this
  // very moment; only a formatter that a module made while it was loaded would keep another one.
  env.TZ = "UTC";
  const config = configOrExit(name, () => readConfig(env));
  // Not within the call that writes the line: its caller is in the middle of something.
  const onClosed = () => queueMicrotask(() => stop("stdout closed"));
  const style = logStyle(config.logFormat, process.stdout.isTTY === true, env);
  const log = createLog(name, config.logLevel, onClosed, style);
  let stopping = false;

  const crash = (event: string) => (error: unknown) => {
    log.fatal({ event, err: error });
    process.exit(exitCodes.failed);
  };
  const stop = (reason: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ event: "stopping", reason });
    clock.after(stopDeadlineMs, () => {
      log.error({ event: "stop_deadline_exceeded", deadlineMs: stopDeadlineMs });
      process.exit(exitCodes.failed);
    });
    service.stop().then(() => {
      log.info({ event: "stopped" });
      process.exit(exitCodes.stopped);
    }, crash("stop_failed"));
  };

  process.on("unhandledRejection", crash("unhandled_rejection"));
  process.on("uncaughtException", crash("uncaught_exception"));
  const service = create(config, { clock, random, log, metrics: createMetrics(name) });
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  process.on("disconnect", () => stop("launcher gone"));
  service.start().then(
    () => {
      if (stopping) return;
      const { grpc, ops, http } = service.addresses();
      const addresses = {
        grpc: formatAddress(grpc),
        ops: formatAddress(ops),
        ...(http && { http: formatAddress(http) }),
      };
      log.info({ event: "started", ...addresses });
    },
    (error) => {
      // A stop lets a start that is under way fail in many ways; how the stop ends is what counts.
      if (!stopping) crash("start_failed")(error);
    },
  );
}
