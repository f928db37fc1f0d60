import type { IncomingMessage, ServerResponse } from "node:http";
import { cors as protocols } from "@connectrpc/connect";

/** Whose pages may ask: exact origins, or "*" for everybody's. */
export type CorsOrigins = readonly string[];

export interface Cors {
  /** Whether a request comes from a page that may ask. */
  allows(request: IncomingMessage): boolean;
  /**
   * Tells the browser what the page may know of the answer. True: it was the browser's own question whether the page may ask
   * (https://fetch.spec.whatwg.org, CORS-preflight), and is answered.
   */
  answer(request: IncomingMessage, response: ServerResponse): boolean;
}

const methods = "GET, POST, PATCH, DELETE, PUT, HEAD, OPTIONS";
// What clients of any face send by themselves; what else a page asks for is added.
const requestHeaders = [
  ...protocols.allowedHeaders,
  "Authorization",
  "Accept",
  "Grpc-Encoding",
  "Grpc-Accept-Encoding",
  "If-Match",
  "If-None-Match",
  "Last-Event-ID",
  "Cache-Control",
  "Traceparent",
  "Tracestate",
];
const exposedHeaders = [...protocols.exposedHeaders, "ETag", "Retry-After", "WWW-Authenticate", "Allow"].join(", ");
// Chromium remembers it no longer than this.
const maxAgeSeconds = 7_200;
const fieldName = /^[\w!#$%&'*+.^`|~-]{1,100}$/;
const mostAsked = 50;

/**
 * Cross-origin resource sharing. Credentials are tokens in a header that the page itself has to know: no cookie is ever
 * looked at, so that nothing is said of them.
 */
export function createCors(origins: CorsOrigins): Cors {
  const all = origins.includes("*");
  const listed = new Set(origins);
  const allows = ({ headers: { origin } }: IncomingMessage) => origin !== undefined && (all || listed.has(origin));
  return {
    allows,
    answer(request, response) {
      if (origins.length === 0) return false;
      // Caches must keep apart what is said to one and to another.
      if (!all) response.appendHeader("vary", "Origin");
      if (!allows(request)) return false;
      response.setHeader("access-control-allow-origin", all ? "*" : (request.headers.origin ?? ""));
      if (request.method !== "OPTIONS" || request.headers["access-control-request-method"] === undefined) {
        response.setHeader("access-control-expose-headers", exposedHeaders);
        return false;
      }
      response.setHeader("access-control-allow-methods", methods);
      response.setHeader("access-control-allow-headers", allowedHeaders(request));
      response.setHeader("access-control-max-age", maxAgeSeconds);
      // A page on the web that asks a server of this network or machine.
      if (request.headers["access-control-request-private-network"] === "true") {
        response.setHeader("access-control-allow-private-network", "true");
      }
      response.writeHead(204).end();
      return true;
    },
  };
}

function allowedHeaders(request: IncomingMessage): string {
  const asked = String(request.headers["access-control-request-headers"] ?? "").split(",", mostAsked);
  const names = new Map(requestHeaders.map((name) => [name.toLowerCase(), name]));
  for (const name of asked.map((part) => part.trim())) {
    if (fieldName.test(name) && !names.has(name.toLowerCase())) names.set(name.toLowerCase(), name);
  }
  return [...names.values()].join(", ");
}
