import type { ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import { RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import type { GrpcClient } from "../../platform/rpc/grpc/grpc-client.ts";

// Of the first job that could ever have been: nobody has it.
const executionId = "00000000-0000-7000-8000-000000000000-0";
const timeoutMs = 1_000;
const silent: ReadonlySet<string> = new Set(["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"]);

/** Whether history answers, with whatever it may be: it is asked for an execution that there is not. */
export async function historyAnswers(
  history: Pick<GrpcClient<typeof ExecutionService>, "getExecution">,
): Promise<boolean> {
  try {
    await history.getExecution({ executionId }, { timeoutMs });
    return true;
  } catch (error) {
    return error instanceof RpcError && !silent.has(error.code);
  }
}
