import type { IncomingMessage } from "node:http";

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
