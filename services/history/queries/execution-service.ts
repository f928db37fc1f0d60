import { create } from "@bufbuild/protobuf";
import { type Execution, ExecutionSchema, type ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import type { ServiceHandlers } from "../../platform/rpc/call-context.ts";
import { invalidField, RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import { pageSizeOf } from "../../platform/rpc/page-size.ts";
import type { HistoryStore } from "../store/contract.ts";
import { mostBytesOf, toExecution } from "./execution-message.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { readExecutionId } from "./read-execution-id.ts";
import { encodeResumeToken } from "./resume-token.ts";
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
  watchers: Pick<Watchers, "watch">;
}): ServiceHandlers<typeof ExecutionService> {
  const { store } = deps;

  return {
    async listExecutions({ jobId, pageSize, pageToken }) {
      const after = pageToken === "" ? undefined : decodePageToken(jobId, pageToken);
      if (pageToken !== "" && !after) {
        throw invalidField("page_token", "is not a next_page_token of this job", "PAGE_TOKEN_INVALID");
      }
      const limit = pageSizeOf(pageSize, defaultPageSize);
      // One more tells whether there is a next page.
      const records = await store.list(jobId, limit + 1, after);
      const executions: Execution[] = [];
      let bytes = 0;
      for (const record of records.slice(0, limit)) {
        const execution = toExecution(record);
        bytes += mostBytesOf(execution);
        // At least one, or the list would never go on.
        if (bytes > pageBytes && executions.length > 0) break;
        executions.push(execution);
      }
      const last = records[executions.length - 1];
      return {
        executions,
        nextPageToken: last && records.length > executions.length ? encodePageToken(jobId, last) : "",
      };
    },

    async getExecution({ executionId }) {
      const parts = readExecutionId(executionId);
      const record = parts && (await store.find(parts));
      if (record) return toExecution(record);
      throw new RpcError("NOT_FOUND", `no attempt of an execution ${executionId} has been recorded`, {
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
