import type { Clock } from "../platform/process/clock.ts";
import type { Environment } from "../platform/process/environment.ts";
import { type LogFormat, logStyle } from "../platform/process/log.ts";
import { createLogText, type LogText } from "../platform/process/log-text.ts";
import { createProgress, type Progress } from "./setup/progress.mjs";

/** What a person sees of all that the launcher and its children write. */
export interface Terminal {
  progress: Progress;
  /** What is shown of a line of a log. */
  dress: LogText;
  /** The name in front of a line. */
  paintName: (name: string) => string;
}

interface Output {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

const usualColumns = 80;
const cyan = (text: string) => `\u001b[36m${text}\u001b[0m`;

/** `stdout` decides: a terminal gets a line that moves and logs to read, all else lines of JSON. */
export function createTerminal(stdout: Output, env: Environment, logFormat: LogFormat, clock: Clock): Terminal {
  const terminal = stdout.isTTY === true;
  const style = logStyle(logFormat, terminal, env);
  return {
    progress: createProgress({
      write: (text) => void stdout.write(text),
      terminal: terminal && env.TERM !== "dumb",
      // Zero: a terminal that nobody has told its size, as under `script`.
      columns: () => stdout.columns || usualColumns,
      clock,
    }),
    dress: style.text ? createLogText(style) : (line) => line,
    paintName: style.text && style.colour ? cyan : (name) => name,
  };
}
