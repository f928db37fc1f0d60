import { createHash, timingSafeEqual } from "node:crypto";
import { RpcError } from "../errors/rpc-error.ts";

/** Throws UNAUTHENTICATED unless the Authorization header carries a token that counts. */
export type Authenticator = (authorization: string | undefined) => void;

/** Without tokens everybody is let in. The time it takes tells nothing about the tokens. */
export function createAuthenticator(tokens: readonly string[]): Authenticator {
  if (tokens.length === 0) return () => undefined;
  const digests = tokens.map(digestOf);
  return (authorization) => {
    const presented = /^bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
    if (presented === undefined) {
      throw new RpcError("UNAUTHENTICATED", "send a token: Authorization: Bearer <token>", {
        reason: "CREDENTIALS_MISSING",
      });
    }
    const digest = digestOf(presented);
    // No early exit: all are compared each time.
    const matches = digests.filter((known) => timingSafeEqual(known, digest)).length;
    if (matches === 0) {
      throw new RpcError("UNAUTHENTICATED", "the token is not valid", { reason: "CREDENTIALS_INVALID" });
    }
  };
}

// Equal lengths are what timingSafeEqual asks for.
function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
