import type { IncomingMessage } from "node:http";
import { isLoopback } from "../../process/environment.ts";

/**
 * Whether a browser sends this on behalf of a page of another site. A front
 * door without tokens trusts whoever reaches the loopback address, and any page
 * on the web can make a browser do that.
 */
export function isCrossSite(request: IncomingMessage): boolean {
  if (request.method === "GET" || request.method === "HEAD" || request.method === "OPTIONS") return false;
  const site = request.headers["sec-fetch-site"];
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  const { origin, host } = request.headers;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}

/**
 * Whether the name under which this was asked for is this machine's own. Any
 * other may belong to a page whose name was pointed at the loopback address (DNS
 * rebinding): to the browser such a page and this door are one site.
 */
export function isLocalHost(request: IncomingMessage): boolean {
  const { host = "" } = request.headers;
  const name = URL.canParse(`http://${host}/`) ? new URL(`http://${host}/`).hostname : "";
  return name === "localhost" || name.endsWith(".localhost") || isLoopback(name.replace(/^\[|\]$/g, ""));
}
