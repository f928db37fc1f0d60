import type { ChildProcess } from "node:child_process";
import { type Address, parseAddress } from "../../services/platform/process/environment.ts";
import { mainOf, runProgram } from "./service-process.ts";

export interface HistoryProcess {
  readonly child: ChildProcess;
  readonly grpcAddress: Address;
  /** Resolves when it is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** The history service as the process that it is in earnest, on free ports. */
export async function startHistoryProcess(options: { natsUrl: string; dataDir: string }): Promise<HistoryProcess> {
  const program = runProgram([mainOf("history")], {
    env: {
      NATS_URL: options.natsUrl,
      CARILLON_DATA_DIR: options.dataDir,
      CARILLON_HISTORY_GRPC_ADDR: "127.0.0.1:0",
      CARILLON_OPS_ADDR: "127.0.0.1:0",
    },
  });
  const { grpc } = await program.logged("started");
  const grpcAddress = parseAddress(String(grpc));
  if (!grpcAddress) throw new Error(`history listens at ${grpc}`);
  return {
    child: program.child,
    grpcAddress,
    async kill(signal) {
      program.kill(signal);
      await program.ended;
    },
  };
}
