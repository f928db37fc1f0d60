import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../platform/process/clock.ts";
import type { Address } from "../../platform/process/environment.ts";

export interface DemoTarget {
  readonly url: string;
  /** When the POST of an execution arrived, unix milliseconds; asked once, then forgotten. */
  takeArrivalMs(executionId: string): number | undefined;
}

// What never comes back as an execution is forgotten, the oldest first.
const maxArrivals = 10_000;

/** A target that answers 200 to everything and notes when it was called; on this machine alone, unless told otherwise. */
export async function startDemoTarget(clock: Clock, at: Address = { host: "127.0.0.1", port: 0 }): Promise<DemoTarget> {
  const arrivals = new Map<string, number>();
  const server = createServer((request, response) => {
    const arrivedMs = clock.nowMs();
    const key = request.headers["idempotency-key"];
    if (typeof key === "string") arrivals.set(key, arrivedMs);
    const [oldest] = arrivals.keys();
    if (arrivals.size > maxArrivals && oldest !== undefined) arrivals.delete(oldest);
    request.resume().on("end", () => response.end("ok\n"));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(at.port, at.host, resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    takeArrivalMs(executionId) {
      const arrivedMs = arrivals.get(executionId);
      arrivals.delete(executionId);
      return arrivedMs;
    },
  };
}
