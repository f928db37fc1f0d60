/** The fields of an execution that the demo shows, as REST writes them. */
export interface WatchedExecution {
  execution_id: string;
  scheduled_time: string;
  timestamp?: string;
  status: string;
  http_status?: number;
  duration_ms?: number;
  reason?: string;
}

/** The data of server-sent events in a stream of text, one JSON value an event. Ends with the stream. */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data:"));
      // A block without data is a comment: it keeps the connection awake.
      if (lines.length > 0) yield JSON.parse(lines.map((line) => line.slice("data:".length)).join("\n"));
    }
  }
}

/** One line: when the POST arrived, when it was due, how late that is, and how it ended. */
export function describeExecution(execution: WatchedExecution, arrivedMs: number | undefined): string {
  const dueMs = Date.parse(execution.scheduled_time);
  const sentMs = arrivedMs ?? Date.parse(execution.timestamp ?? execution.scheduled_time);
  const late = sentMs - dueMs;
  const answer = execution.http_status ?? execution.reason ?? "no answer";
  return [
    timeOfDay(sentMs),
    `due ${timeOfDay(dueMs).slice(0, 8)}`,
    `${late < 0 ? "" : "+"}${late} ms`.padStart(8),
    `POST -> ${answer}`,
    `${execution.status} ${execution.duration_ms ?? 0} ms`,
  ].join("  ");
}

function timeOfDay(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23);
}
