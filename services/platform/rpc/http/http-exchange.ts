import type { IncomingMessage, ServerResponse } from "node:http";
import type { DescMethod } from "@bufbuild/protobuf";

/** One HTTP request and what the faces need to answer it. */
export interface HttpExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As it was sent, percent-encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Aborted when the client is gone or the server stops. */
  readonly signal: AbortSignal;
}

/**
 * A part of the front door: answers what is its own and tells so; false leaves
 * the exchange to the next one. It must not throw once it has begun to answer.
 */
export type HttpFace = (exchange: HttpExchange) => boolean | Promise<boolean>;

/** How many bytes a request for this method may have. */
export type BodyLimit = (method: DescMethod) => number;

/** `shutdown` is aborted, with the error to tell, when the server stops. */
export function createExchange(
  request: IncomingMessage,
  response: ServerResponse,
  shutdown: AbortSignal,
): HttpExchange {
  const url = originForm(request);
  const mark = url.indexOf("?");
  const controller = new AbortController();
  const stop = () => controller.abort(shutdown.reason);
  if (shutdown.aborted) stop();
  else shutdown.addEventListener("abort", stop, { once: true });
  response.once("close", () => {
    shutdown.removeEventListener("abort", stop);
    // Over HTTP/2 Node calls every answer finished whose stream is closed, by whomever.
    const done = request.httpVersionMajor >= 2 ? response.writableEnded : response.writableFinished;
    if (!done) controller.abort(new DOMException("the client went away", "AbortError"));
  });
  // Without a listener a broken connection would be an uncaught exception.
  response.on("error", () => undefined);
  return {
    request,
    response,
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)),
    signal: controller.signal,
  };
}

/**
 * The target without the authority that an absolute one has: it takes the place
 * of Host (RFC 9112, 3.2.2), so that whoever looks at the host sees what was asked for.
 */
function originForm(request: IncomingMessage): string {
  const target = request.url ?? "/";
  const [, authority, rest = ""] = absoluteForm.exec(target) ?? [];
  if (authority === undefined) return target;
  request.headers.host = authority;
  request.url = rest.startsWith("/") ? rest : `/${rest}`;
  return request.url;
}

const absoluteForm = /^https?:\/\/([^/?#]+)(.*)$/is;

/** Waits until a response takes more; also ends when the client is gone. */
export function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted || response.destroyed) return resolve();
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    response.once("drain", done);
    response.once("close", done);
    signal.addEventListener("abort", done, { once: true });
  });
}
