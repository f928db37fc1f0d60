import { failure, type Outcome } from "../../domain/delivery/outcome.ts";
import { RefusedAddressError } from "../../platform/net/address-guard.ts";
import { NameError } from "../../platform/net/name-resolver.ts";

interface SystemError {
  code?: string;
  message: string;
  hostname?: string;
}

const resetCodes: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);
// What undici calls an interim status that it cannot go on after; they come as resets, though nobody closed.
const unexpectedStatuses: Readonly<Record<string, number>> = { "bad response": 100, "bad upgrade": 101 };
const tlsCodes =
  /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(GET|VERIFY|DECRYPT|DECODE)|ERROR_IN_CERT|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|EPROTO)/;

// Node ends some messages with advice on its own command line, which nobody who reads this can follow.
const adviceOnNode = /;[^;]*\bNode\.js\b.*$/s;

/** Whether the connection was closed from the other side. */
export function isReset(error: unknown): boolean {
  return resetCodes.has(rootCause(error).code ?? "");
}

/** Puts the error of a call that got no whole answer into words; `origin` is that of its URL. */
export function outcomeOfError(error: unknown, origin: string): Outcome {
  const cause = rootCause(error);
  const code = cause.code ?? "";
  const host = origin.replace(/^https?:\/\//, "");
  if (cause instanceof RefusedAddressError) return failure("NETWORK_ERROR", cause.message);
  if (cause instanceof NameError) return failure("DNS_ERROR", cause.message);
  if (code === "ECONNREFUSED") return failure("CONNECTION_REFUSED", `connection refused by ${host}`);
  const unexpected = code === "UND_ERR_SOCKET" ? unexpectedStatuses[cause.message] : undefined;
  if (unexpected) return failure("NETWORK_ERROR", `${host} answered with the unexpected status ${unexpected}`);
  if (resetCodes.has(code)) return failure("CONNECTION_RESET", `${host} closed the connection before its answer ended`);
  if (code === "ETIMEDOUT" || code === "UND_ERR_CONNECT_TIMEOUT") {
    return failure("TIMEOUT", `no connection to ${host} was made in time`);
  }
  if (tlsCodes.test(code)) {
    const why = cause.message.replace(adviceOnNode, "");
    return failure("TLS_ERROR", `no secure connection to ${host}: ${why} (${code})`);
  }
  return failure("NETWORK_ERROR", `the call to ${host} failed: ${cause.message}${code && ` (${code})`}`);
}

/** An attempt on several addresses fails with all their errors in one: the first tells why. */
function rootCause(error: unknown): SystemError {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return rootCause(error.errors[0]);
  return error instanceof Error ? error : { message: String(error) };
}
