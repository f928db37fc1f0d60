import { create } from "@bufbuild/protobuf";
import { type Execution, ExecutionSchema, type ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import { isAfter, type Position } from "../../domain/identity/position.ts";
import type { ServiceHandlers } from "../../platform/rpc/call-context.ts";
import { invalidField, RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import { pageSizeOf } from "../../platform/rpc/page-size.ts";
import type { HistoryStore } from "../store/contract.ts";
import { mostBytesOf, toExecution } from "./execution-message.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { readExecutionId } from "./read-execution-id.ts";
import { encodeResumeToken } from "./resume-token.ts";
import type { Placed, Unended } from "./unended.ts";
import { openWatchStream } from "./watch-stream.ts";
import type { Watchers } from "./watchers.ts";

const defaultPageSize = 5;
// gRPC clients refuse answers of more than 4 MiB unless told otherwise.
const pageBytes = 3.5 * 1024 * 1024;

/**
 * What became of each occurrence. History knows executions, and of jobs only which
 * are deleted: one it never heard of has none. The front door tells whether a job exists.
 */
export function createExecutionHandlers(deps: {
  store: Pick<HistoryStore, "list" | "find" | "endedSince" | "lastEnding">;
  unended: Unended;
  watchers: Pick<Watchers, "watch">;
}): ServiceHandlers<typeof ExecutionService> {
  const { store, unended } = deps;

  /** The executions of a page, and one more where there is a next one. */
  const read = async (jobId: string, limit: number, after: Position | undefined, all: boolean): Promise<Placed[]> => {
    // Read before those that have ended: what ends in between comes twice, and does not vanish.
    const others = all ? await unended.list(jobId, limit, after) : [];
    const records = await store.list(jobId, limit, after);
    const ended = records.map((record) => ({ position: record, execution: toExecution(record) }));
    if (others.length === 0) return ended;
    const ids = new Set(ended.map(({ execution }) => execution.executionId));
    const both = [...ended, ...others.filter(({ execution }) => !ids.has(execution.executionId))];
    return both.sort((a, b) => (isAfter(a.position, b.position) ? 1 : -1)).slice(0, limit);
  };

  return {
    async listExecutions({ jobId, pageSize, pageToken, includeRunning }) {
      const after = pageToken === "" ? undefined : decodePageToken(jobId, pageToken);
      if (pageToken !== "" && !after) {
        throw invalidField("page_token", "is not a next_page_token of this job", "PAGE_TOKEN_INVALID");
      }
      const limit = pageSizeOf(pageSize, defaultPageSize);
      // One more tells whether there is a next page.
      const found = await read(jobId, limit + 1, after, includeRunning);
      const executions: Execution[] = [];
      let bytes = 0;
      for (const { execution } of found.slice(0, limit)) {
        bytes += mostBytesOf(execution);
        // At least one, or the list would never go on.
        if (bytes > pageBytes && executions.length > 0) break;
        executions.push(execution);
      }
      const last = found[executions.length - 1]?.position;
      return {
        executions,
        nextPageToken: last && found.length > executions.length ? encodePageToken(jobId, last) : "",
      };
    },

    async getExecution({ executionId }) {
      const parts = readExecutionId(executionId);
      const execution = parts && (await unended.find(executionId, () => store.find(parts)));
      if (execution) return execution;
      throw new RpcError("NOT_FOUND", `nothing is known of an execution ${executionId}`, {
        reason: "EXECUTION_NOT_FOUND",
        metadata: { execution_id: executionId },
      });
    },

    async *watchExecutions(request, context) {
      const watch = await openWatchStream(request, deps);
      const { signal } = context;
      signal.addEventListener("abort", watch.close, { once: true });
      try {
        if (signal.aborted) return;
        // Not before the watch stands: what ends from here on will be sent.
        context.open();
        for await (const { record, place } of watch.told()) {
          const resumeToken = encodeResumeToken(request.jobId, place);
          yield record ? { ...toExecution(record), resumeToken } : create(ExecutionSchema, { resumeToken });
        }
      } finally {
        signal.removeEventListener("abort", watch.close);
        watch.close();
      }
    },

    auditJob() {
      throw new RpcError("UNIMPLEMENTED", "AuditJob is not implemented in this version", {
        reason: "RPC_NOT_IMPLEMENTED",
        metadata: { rpc: "AuditJob" },
      });
    },
  };
}
