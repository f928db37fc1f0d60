/** Why an attempt failed, for programs. */
export type FailureReason =
  | "HTTP_STATUS"
  | "TIMEOUT"
  | "CONNECTION_REFUSED"
  | "CONNECTION_RESET"
  | "DNS_ERROR"
  | "TLS_ERROR"
  | "NETWORK_ERROR";

/** How one HTTP call ended. A failure is a value like any other. */
export type Outcome =
  | { kind: "success"; httpStatus: number }
  | {
      kind: "failure";
      reason: FailureReason;
      /** For people. */
      message: string;
      /** 0 when there was no answer. */
      httpStatus: number;
      /** What the target asked to wait before the next attempt; 0 when it asked for nothing. */
      retryAfterMs: number;
    };

/** 2xx is success; everything else, a redirect too, is failure. */
export function isSuccessStatus(httpStatus: number): boolean {
  return httpStatus >= 200 && httpStatus <= 299;
}

// Values without a field of their own are shared: the hot path makes none.
const successes = new Map<number, Outcome>();

export function outcomeOfStatus(httpStatus: number, retryAfterMs = 0): Outcome {
  if (isSuccessStatus(httpStatus)) {
    let success = successes.get(httpStatus);
    if (!success) {
      success = { kind: "success", httpStatus };
      successes.set(httpStatus, success);
    }
    return success;
  }
  const redirect = httpStatus >= 300 && httpStatus <= 399 && httpStatus !== 304;
  const message = `the target answered ${httpStatus}${redirect ? ", and redirects are not followed" : ""}`;
  return { kind: "failure", reason: "HTTP_STATUS", message, httpStatus, retryAfterMs };
}

// A certificate can make an error text of any length.
const longestMessage = 500;

/** A failure without an answer. */
export function failure(reason: Exclude<FailureReason, "HTTP_STATUS">, message: string): Outcome {
  return { kind: "failure", reason, message: message.slice(0, longestMessage), httpStatus: 0, retryAfterMs: 0 };
}
