import type { Log } from "./log.ts";

/** Every part of a service: both calls are idempotent, and stop may come during start. */
export interface Startable {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** How long a stop may take before the process gives up on what is left. */
const stopDeadlineMs = 9_000;

/**
 * Starts parts in order and stops them in reverse: list them so that what takes
 * work in comes last. A part that fails to start stops those before it.
 */
export function startInOrder(parts: readonly Startable[]): Startable {
  let started: Startable[] = [];
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    const errors: unknown[] = [];
    for (const part of started.toReversed()) await part.stop().catch((error) => errors.push(error));
    started = [];
    if (errors.length > 0) throw new AggregateError(errors, "stopping failed");
  };
  return {
    start() {
      starting ??= (async () => {
        for (const part of parts) {
          if (stopping) return;
          started.push(part);
          try {
            await part.start();
          } catch (error) {
            await stop().catch(() => undefined);
            throw error;
          }
        }
      })();
      return starting;
    },
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}

/**
 * The frame of a service's main.ts: starts it, and stops it on SIGTERM, SIGINT
 * or when the launcher that started it is gone. Exit code 0 after a clean stop,
 * 1 when starting failed, stopping failed or took too long.
 */
export function runService(service: Startable, log: Log): void {
  let stopping = false;
  const exit = (code: number) => {
    // The log is asynchronous only on the surface: pino writes to stdout synchronously.
    process.exit(code);
  };
  const stop = (reason: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ event: "stopping", reason });
    const deadline = setTimeout(() => {
      log.error({ event: "stop_deadline_exceeded", deadlineMs: stopDeadlineMs });
      exit(1);
    }, stopDeadlineMs);
    deadline.unref();
    service.stop().then(
      () => {
        log.info({ event: "stopped" });
        exit(0);
      },
      (error) => {
        log.error({ event: "stop_failed", err: error });
        exit(1);
      },
    );
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  process.on("disconnect", () => stop("launcher gone"));
  // The launcher may die without the chance to say so: writing to its pipe then fails.
  process.stdout.on("error", () => stop("stdout closed"));
  process.on("unhandledRejection", (error) => {
    log.fatal({ event: "unhandled_rejection", err: error });
    exit(1);
  });
  process.on("uncaughtException", (error) => {
    log.fatal({ event: "uncaught_exception", err: error });
    exit(1);
  });
  service.start().then(
    () => log.info({ event: "started" }),
    (error) => {
      log.fatal({ event: "start_failed", err: error });
      exit(1);
    },
  );
}
