import { connect, NatsError } from "nats";

/** `later`: it may yet, once its cluster is complete for instance. */
export type BrokerWord = "ready" | "no JetStream" | "no credentials" | "later";

const timeoutMs = 2_000;
// JetStream is not enabled: on the server, for the account (JSNotEnabledErr, JSNotEnabledForAccountErr).
const notEnabled: ReadonlySet<number> = new Set([10_076, 10_039]);

/** Connects once, and tells whether there is a JetStream for us. `url`: one or several, separated by commas. */
export async function tryBroker(url: string): Promise<BrokerWord> {
  const servers = url.split(",").map((server) => server.trim());
  try {
    const connection = await connect({ servers, reconnect: false, timeout: timeoutMs });
    try {
      const manager = await connection.jetstreamManager({ checkAPI: false, timeout: timeoutMs });
      await manager.getAccountInfo();
    } finally {
      await connection.close();
    }
    return "ready";
  } catch (error) {
    return wordOf(error);
  }
}

function wordOf(error: unknown): BrokerWord {
  if (!(error instanceof NatsError)) return "later";
  if (error.code === "503" || notEnabled.has(error.api_error?.err_code ?? 0)) return "no JetStream";
  return error.isAuthError() || error.isAuthTimeout() ? "no credentials" : "later";
}
