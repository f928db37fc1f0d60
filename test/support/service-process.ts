import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { repositoryDir } from "./nats.ts";

export type LogLine = { event?: string; [field: string]: unknown };

/** One of our programs as the process that it is in earnest. */
export interface Program {
  readonly child: ChildProcess;
  /** What it logged so far. */
  readonly lines: readonly LogLine[];
  /** Resolves with the first line of an event, at once when it was logged already. Rejects when the process ends without one. */
  logged(event: string): Promise<LogLine>;
  kill(signal: NodeJS.Signals): void;
  /** How it ended, once all of its output is here. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>;
}

export interface ProgramOptions {
  env?: Record<string, string>;
  /** With the channel that the launcher gives its children. */
  channel?: boolean;
}

export const mainOf = (name: string) => join(repositoryDir, "services", name, "main.ts");

/** Node with these arguments. Of this process's own environment it gets the PATH alone. */
export function runProgram(args: readonly string[], { env = {}, channel = false }: ProgramOptions = {}): Program {
  const child = spawn(process.execPath, [...args], {
    env: { PATH: process.env.PATH ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe", ...(channel ? (["ipc"] as const) : [])],
  });
  if (!child.stdout || !child.stderr) throw new Error("no pipes");
  const lines: LogLine[] = [];
  const waiting = new Set<() => void>();
  let stdout = "";
  let stderr = "";
  createInterface({ input: child.stdout }).on("line", (line) => {
    stdout += `${line}\n`;
    if (!line.startsWith("{")) return;
    lines.push(JSON.parse(line) as LogLine);
    for (const check of waiting) check();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  // Not "close" of the child: it does not come where this side has closed the channel.
  const ended = Promise.all([once(child, "exit"), once(child.stdout, "close"), once(child.stderr, "close")]).then(
    ([[code, signal]]) => ({ code, signal, stdout, stderr }),
  );
  return {
    child,
    lines,
    ended,
    logged: (event) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const line = lines.find((candidate) => candidate.event === event);
          if (!line) return;
          waiting.delete(check);
          resolve(line);
        };
        waiting.add(check);
        check();
        void ended.then(() => reject(new Error(`it ended without ${event}:\n${stdout}${stderr}`)));
      }),
    kill: (signal) => void child.kill(signal),
  };
}
