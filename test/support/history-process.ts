import type { ChildProcess } from "node:child_process";
import { type Address, parseAddress } from "../../services/platform/process/environment.ts";
import { type LogLine, mainOf, runProgram } from "./service-process.ts";

export interface HistoryProcess {
  readonly child: ChildProcess;
  readonly grpcAddress: Address;
  /** Its port for operators. */
  readonly opsUrl: string;
  /** What it logged so far. */
  readonly lines: readonly LogLine[];
  /** Resolves when it is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** The history service as the process that it is in earnest, on free ports. */
export async function startHistoryProcess(options: {
  natsUrl: string;
  dataDir: string;
  env?: Record<string, string>;
}): Promise<HistoryProcess> {
  const program = runProgram([mainOf("history")], {
    env: {
      NATS_URL: options.natsUrl,
      CARILLON_DATA_DIR: options.dataDir,
      CARILLON_HISTORY_GRPC_ADDR: "127.0.0.1:0",
      CARILLON_OPS_ADDR: "127.0.0.1:0",
      // Tests record what is long past.
      CARILLON_HISTORY_RETENTION: "36500d",
      ...options.env,
    },
  });
  const { grpc, ops } = await program.logged("started");
  const grpcAddress = parseAddress(String(grpc));
  if (!grpcAddress) throw new Error(`history listens at ${grpc}`);
  return {
    child: program.child,
    grpcAddress,
    opsUrl: `http://${ops}`,
    lines: program.lines,
    async kill(signal) {
      program.kill(signal);
      await program.ended;
    },
  };
}
