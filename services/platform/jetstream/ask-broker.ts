import type { Broker } from "./broker.ts";

/**
 * Asks the broker, for whoever asks again after a failure. Rejects when the
 * connection is made anew meanwhile: what was asked on the lost one is never
 * answered, and times out late.
 */
export async function askBroker<T>(broker: Broker, ask: () => Promise<T>): Promise<T> {
  const reconnected = Promise.withResolvers<never>();
  const endReconnect = broker.onReconnect(() => reconnected.reject(new Error("the connection was lost meanwhile")));
  try {
    return await Promise.race([ask(), reconnected.promise]);
  } finally {
    endReconnect();
  }
}
