import { type Logger, pino } from "pino";
import { createLogText } from "./log-text.ts";

/** A log whose lines are events with fields: `log.warn({ event: "attempt_failed", jobId })`. */
export type Log = Logger;

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

export type LogLevel = (typeof logLevels)[number];

/** `auto`: text on a terminal, JSON elsewhere. */
export const logFormats = ["auto", "text", "json"] as const;

export type LogFormat = (typeof logFormats)[number];

/** Whether lines are for people, and whether in colour (`NO_COLOR`, no-color.org). */
export interface LogStyle {
  text: boolean;
  colour: boolean;
}

export function logStyle(
  format: LogFormat,
  terminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): LogStyle {
  return {
    text: format === "text" || (format === "auto" && terminal),
    colour: terminal && !env.NO_COLOR && env.TERM !== "dumb",
  };
}

/**
 * Lines on stdout: JSON with the service's name in each, or text. They are written before the
 * call returns. Once the reader of stdout is gone, `onClosed` is called at the
 * next line, and all lines are dropped.
 */
export function createLog(
  service: string,
  level: LogLevel,
  onClosed: () => void = () => {},
  style: LogStyle = { text: false, colour: false },
): Log {
  const stdout = pino.destination({ fd: 1, sync: true });
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    onClosed();
  });
  const text = createLogText(style);
  const lines = style.text ? { write: (line: string) => stdout.write(`${text(line.trimEnd())}\n`) } : stdout;
  return pino({ level, base: { service }, timestamp: pino.stdTimeFunctions.isoTime }, lines);
}
