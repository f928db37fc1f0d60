import type { IncomingMessage } from "node:http";
import { RpcError } from "../errors/rpc-error.ts";

// RFC 3986, 3.2: a name or an address, and a port. Whoever was meant by anything else is anybody's guess.
const authority = /^(\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%@-]+)(:\d*)?$/i;

/**
 * What is wrong with the Host of a request (RFC 9112, 3.2); undefined when nothing is. It says which server is meant, and
 * the checks against pages of other sites rely on it, so that HTTP/1.0 is asked for it as well.
 */
export function hostFault(request: IncomingMessage): RpcError | undefined {
  // RFC 9113, 8.3.1: it has another name there.
  const asked = request.headers[":authority"];
  if (request.httpVersionMajor >= 2 && asked !== undefined) request.headers.host ??= String(asked);
  else {
    const missing = countFault(request.rawHeaders);
    if (missing) return missing;
  }
  return authority.test(request.headers.host ?? "") ? undefined : fault("the Host header names no host");
}

function countFault(names: readonly string[]): RpcError | undefined {
  let count = 0;
  for (let i = 0; i < names.length; i += 2) {
    const name = names[i];
    if (name?.length !== 4 || name.toLowerCase() !== "host") continue;
    count++;
    if (names[i + 1]?.trim() === "") return fault("the Host header is empty");
  }
  if (count === 0) return fault("the Host header is missing");
  return count > 1 ? fault("the Host header is there more than once") : undefined;
}

function fault(what: string): RpcError {
  return new RpcError("INVALID_ARGUMENT", `${what}: it says which server is meant`, { reason: "HOST_INVALID" });
}
