import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Address } from "../../services/platform/process/config.ts";
import { parseAddress } from "../../services/platform/process/config.ts";

export interface HistoryProcess {
  readonly child: ChildProcess;
  readonly grpcAddress: Address;
  readonly opsAddress: Address;
  kill(signal: NodeJS.Signals): Promise<void>;
}

const main = new URL("../../services/history/main.ts", import.meta.url).pathname;

/** The history service as the process that it is in earnest, on free ports. */
export async function startHistoryProcess(options: { natsUrl: string; dataDir: string }): Promise<HistoryProcess> {
  const child = spawnHistory({
    NATS_URL: options.natsUrl,
    CARILLON_DATA_DIR: options.dataDir,
    CARILLON_HISTORY_GRPC_ADDR: "127.0.0.1:0",
    CARILLON_OPS_ADDR: "127.0.0.1:0",
  });
  const addresses = new Map<string, Address>();
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once("exit", () => reject(new Error(`history ended:\n${lines.join("\n")}`)));
    if (!child.stdout) throw new Error("no stdout");
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      const entry = JSON.parse(line) as { event?: string; address?: string };
      const address = parseAddress(entry.address ?? "");
      if (entry.event && address) addresses.set(entry.event, address);
      if (entry.event === "started") resolve();
    });
  });
  const addressOf = (event: string) => {
    const address = addresses.get(event);
    if (!address) throw new Error(`history logged no ${event}`);
    return address;
  };
  return {
    child,
    grpcAddress: addressOf("grpc_listening"),
    opsAddress: addressOf("ops_listening"),
    async kill(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill(signal);
      await exited;
    },
  };
}

export function spawnHistory(environment: Record<string, string>): ChildProcess {
  const { PATH = "" } = process.env;
  return spawn(process.execPath, [main], { env: { PATH, ...environment }, stdio: ["ignore", "pipe", "inherit"] });
}
