import { type Logger, pino } from "pino";

/** A log whose lines are events with fields: `log.warn({ event: "attempt_failed", jobId })`. */
export type Log = Logger;

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** JSON lines on stdout, one service name in each. */
export function createLog(service: string, level: string): Log {
  return pino({ level, base: { service }, timestamp: pino.stdTimeFunctions.isoTime });
}
