import { type Logger, pino } from "pino";

/** A log whose lines are events with fields: `log.warn({ event: "attempt_failed", jobId })`. */
export type Log = Logger;

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

export type LogLevel = (typeof logLevels)[number];

/**
 * JSON lines on stdout, one service name in each. They are written before the
 * call returns. Once the reader of stdout is gone, `onClosed` is called at the
 * next line, and all lines are dropped.
 */
export function createLog(service: string, level: LogLevel, onClosed: () => void = () => {}): Log {
  const stdout = pino.destination({ fd: 1, sync: true });
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    onClosed();
  });
  return pino({ level, base: { service }, timestamp: pino.stdTimeFunctions.isoTime }, stdout);
}
