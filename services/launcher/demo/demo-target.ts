import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../platform/process/clock.ts";

export interface DemoTarget {
  readonly url: string;
  /** When the POST of an execution arrived, unix milliseconds; asked once, then forgotten. */
  takeArrivalMs(executionId: string): number | undefined;
}

/** A target on this machine that answers 200 to everything and notes when it was called. */
export async function startDemoTarget(clock: Clock): Promise<DemoTarget> {
  const arrivals = new Map<string, number>();
  const server = createServer((request, response) => {
    const arrivedMs = clock.nowMs();
    const key = request.headers["idempotency-key"];
    if (typeof key === "string") arrivals.set(key, arrivedMs);
    request.resume().on("end", () => response.end("ok\n"));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
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
