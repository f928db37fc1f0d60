import type { Clock } from "../../process/clock.ts";
import type { BoundService, BoundStream, BoundUnary, CallContext } from "../call-context.ts";
import { RpcError, relativeTo } from "../errors/rpc-error.ts";
import { refuseVerb, sendError, sendJson, sendNotModified } from "../http/http-answers.ts";
import type { BodyLimit, HttpExchange, HttpFace } from "../http/http-exchange.ts";
import { readBody } from "../http/request-body.ts";
import { readField, writeField, writeMessage } from "../json/json-writer.ts";
import { checkRead, entityTagOf, guardWrite, isKnown } from "./preconditions.ts";
import { transcodeRequest } from "./rest-request.ts";
import { allowedVerbs, matchPath, type RestMatch, type RestRoute, routesOf } from "./rest-routes.ts";
import { createStreamWriter } from "./rest-stream.ts";
import { askForBookmarks, resumeFrom } from "./resumption.ts";

// How long a stream may keep silent before its headers go out: an error within
// it still gets an HTTP status of its own. A handler that calls open() is faster.
const openGraceMs = 500;

/** REST by transcoding of the services' google.api.http annotations. */
export function createRestFace(deps: { services: readonly BoundService[]; clock: Clock; limit: BodyLimit }): HttpFace {
  const routes = routesOf(deps.services);

  const unary = async (method: BoundUnary, match: RestMatch, exchange: HttpExchange) => {
    const { request, response } = exchange;
    const { "if-match": ifMatch, "if-none-match": ifNoneMatch } = request.headers;
    const context = restContext(exchange, () => undefined);
    const { json, entityTag } = await method.call(
      context,
      () => read(match, exchange),
      (answer) => ({ json: toJson(match.route, answer), entityTag: entityTagOf(answer, method.desc.output) }),
    );
    const isRead = match.route.verb === "GET";
    if (isRead && ifMatch !== undefined) checkRead(entityTag, ifMatch);
    if (entityTag !== undefined) response.setHeader("etag", `"${entityTag}"`);
    if (isRead && entityTag !== undefined && ifNoneMatch !== undefined && isKnown(entityTag, ifNoneMatch)) {
      return sendNotModified(response);
    }
    sendJson(response, 200, json);
  };

  const stream = async (method: BoundStream, match: RestMatch, exchange: HttpExchange) => {
    const writer = createStreamWriter(exchange, method.desc.output, deps.clock);
    const context = restContext(exchange, writer.open);
    let cancelGrace = () => {};
    const readAndWait = async () => {
      const request = await read(match, exchange);
      resumeFrom(method.desc.input, request, exchange.request.headers["last-event-id"]);
      if (writer.takesBookmarks) askForBookmarks(method.desc.input, request);
      cancelGrace = deps.clock.after(openGraceMs, writer.open);
      return request;
    };
    try {
      for await (const text of method.call(context, readAndWait, writer.format)) await writer.write(text);
      writer.end();
    } catch (error) {
      if (!exchange.response.headersSent || !(error instanceof RpcError)) throw error;
      writer.end(error);
    } finally {
      cancelGrace();
    }
  };

  const read = async (match: RestMatch, exchange: HttpExchange) => {
    const { request, response, query } = exchange;
    const body = await readBody(request, response, deps.limit(match.route.method.desc));
    if (body.length > 0) checkContentType(request.headers["content-type"]);
    const message = transcodeRequest(match, query, body);
    if (match.route.verb !== "GET") guardWrite(match.route, message, request.headers);
    return message;
  };

  return async (exchange) => {
    const matches = matchPath(routes, exchange.path);
    if (matches.length === 0) return false;
    const verb = exchange.request.method ?? "GET";
    const match = matches.find(({ route }) => route.verb === (verb === "HEAD" ? "GET" : verb));
    if (!match || (verb === "HEAD" && match.route.method.kind !== "unary")) {
      // Behind a colon stands the name of a method: one that is not there is no matter of the verb.
      if (matches.every(({ route }) => route.template.verb === undefined) && customVerb.test(exchange.path))
        return false;
      refuseVerb(exchange, allowedVerbs(matches));
      return true;
    }
    const { method, body } = match.route;
    try {
      await (method.kind === "unary" ? unary(method, match, exchange) : stream(method, match, exchange));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const isField = body !== undefined && body !== "*";
      const { request, response } = exchange;
      // RFC 9110, 15.5.13: what a header asked for does not hold. What the body asked for is a conflict.
      const status = error.code === "ABORTED" && request.headers["if-match"] !== undefined ? 412 : undefined;
      sendError(response, isField ? relativeTo(body.name, error) : error, status);
    }
    return true;
  };
}

/** The context of a REST call; `open` is what a stream does with its headers. */
function restContext(exchange: HttpExchange, open: () => void): CallContext {
  const { request, signal } = exchange;
  return {
    face: "rest",
    header: (name) => {
      const value = request.headers[name.toLowerCase()];
      return Array.isArray(value) ? value[0] : value;
    },
    signal,
    remainingMs: () => undefined,
    open,
  };
}

function toJson(route: RestRoute, answer: Parameters<typeof readField>[0]) {
  const { responseBody, method } = route;
  return responseBody
    ? writeField(responseBody, readField(answer, responseBody), {})
    : writeMessage(method.desc.output, answer);
}

const customVerb = /:[^/:]+$/;

// What `curl -d` sends when nobody says otherwise counts: its body must still be JSON.
const jsonTypes = /^(application\/([\w.-]+\+)?json|text\/(plain|json)|application\/x-www-form-urlencoded)\s*(;|$)/i;

function checkContentType(contentType: string | undefined): void {
  if (contentType === undefined || jsonTypes.test(contentType)) return;
  throw new RpcError("INVALID_ARGUMENT", `the body must be application/json, not ${contentType}`, {
    reason: "UNSUPPORTED_MEDIA_TYPE",
  });
}
