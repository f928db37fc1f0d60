import { createServer, type Socket } from "node:net";

/**
 * The bench's target, in a process of its own: the least HTTP server that can
 * answer, so that it takes as little as it can of the machine that is measured.
 * It reads just what it needs from each request and answers 200.
 *
 * Parent → { reset: true } | { report: fromSecond, to: toSecond }; → parent: Report | { port }.
 */
export interface Report {
  /** Distinct executions that arrived, by scheduled second. */
  bySecond: [second: number, count: number][];
  /** Requests beyond the first of an execution. */
  repeats: number;
  /** Arrival minus scheduled second, of each first request, in ms. */
  lateness: { p50: number; p99: number; max: number };
  lastArrivalMs: number;
  /** Of the executions of each second alone, in their order. */
  secondsP99Ms: number[];
}

interface Second {
  ids: Set<string>;
  latenessMs: number[];
  lastArrivalMs: number;
  repeats: number;
}

const seconds = new Map<number, Second>();
const answer = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

function record(executionId: string, second: number): void {
  const now = performance.timeOrigin + performance.now();
  let entry = seconds.get(second);
  if (!entry) {
    entry = { ids: new Set(), latenessMs: [], lastArrivalMs: 0, repeats: 0 };
    seconds.set(second, entry);
  }
  const before = entry.ids.size;
  entry.ids.add(executionId);
  if (entry.ids.size === before) {
    entry.repeats++;
    return;
  }
  entry.latenessMs.push(now - second * 1000);
  entry.lastArrivalMs = now;
}

/** The value of a header; names come in any case, and undici keeps the one it was given. */
function header(head: string, lower: string, name: string): string {
  const at = lower.indexOf(`\r\n${name}: `);
  if (at < 0) return "";
  const from = at + name.length + 4;
  return head.slice(from, head.indexOf("\r\n", from));
}

function serve(socket: Socket): void {
  socket.setNoDelay(true);
  let rest = "";
  socket.on("data", (chunk) => {
    rest += chunk.toString("latin1");
    for (;;) {
      const end = rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = rest.slice(0, end + 2);
      const lower = head.toLowerCase();
      const size = end + 4 + Number(header(head, lower, "content-length") || 0);
      if (rest.length < size) return;
      rest = rest.slice(size);
      // An execution id ends in its second; see domain/execution-id.ts.
      const executionId = header(head, lower, "carillon-execution-id");
      record(executionId, Number(executionId.slice(executionId.lastIndexOf("-") + 1)));
      socket.write(answer);
    }
  });
  socket.on("error", () => socket.destroy());
}

function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

function report(from: number, to: number): Report {
  const chosen = [...seconds].filter(([second]) => second >= from && second <= to).sort(([a], [b]) => a - b);
  const sorted = Float64Array.from(chosen.flatMap(([, entry]) => entry.latenessMs)).sort();
  return {
    bySecond: chosen.map(([second, entry]) => [second, entry.ids.size]),
    secondsP99Ms: chosen.map(([, entry]) => quantile(Float64Array.from(entry.latenessMs).sort(), 0.99)),
    repeats: chosen.reduce((sum, [, entry]) => sum + entry.repeats, 0),
    lateness: { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1) ?? 0 },
    lastArrivalMs: Math.max(0, ...chosen.map(([, entry]) => entry.lastArrivalMs)),
  };
}

process.on("message", (message: { reset?: boolean; report?: number; to?: number }) => {
  if (message.reset) seconds.clear();
  else process.send?.(report(message.report ?? 0, message.to ?? Number.MAX_SAFE_INTEGER));
});
process.on("disconnect", () => process.exit(0));

// All loopback addresses: each is an origin of its own.
const server = createServer(serve).listen(0, "0.0.0.0", 1024, () => {
  const address = server.address();
  process.send?.({ port: typeof address === "object" && address ? address.port : 0 });
});
