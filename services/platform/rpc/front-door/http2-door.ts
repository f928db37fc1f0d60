import type { IncomingMessage, Server, ServerResponse } from "node:http";
import {
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "../../process/clock.ts";

export interface Http2DoorConfig {
  /** How long a connection may take to show which protocol it speaks. */
  prefaceTimeoutMs: number;
  /** How long a request may take to arrive. */
  requestTimeoutMs: number;
  /** How long a connection without calls is kept. */
  keepAliveTimeoutMs: number;
}

export interface Http2Door {
  /** Calls under way may end; no others are taken. */
  close(): void;
  /** Cuts off what is left. */
  destroy(): void;
}

// RFC 9113, 3.4.
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const maxConcurrentStreams = 256;
/** As over HTTP/1.1. */
const maxHeaderBytes = 16 * 1024;
const sessionMegabytes = 16;

/**
 * HTTP/2 without TLS on a port of HTTP/1.1, for clients that know of it beforehand (RFC 9113, 3.3). Who begins a connection
 * with the preface of HTTP/2 is served by it; all others go on as they would have, with a look at their first bytes alone.
 */
export function openHttp2Door(
  server: Server,
  config: Http2DoorConfig,
  deps: {
    clock: Clock;
    handle: (request: IncomingMessage, response: ServerResponse) => void;
    /** Told of a connection once it is clear that HTTP/1.1 is spoken on it. */
    onHttp1: (socket: Socket) => void;
    /** Told of a connection that does not say in time what it speaks. */
    onSilence: (socket: Socket) => void;
  },
): Http2Door {
  const { clock } = deps;
  const sessions = new Set<ServerHttp2Session>();
  const undecided = new Set<Socket>();
  let closing = false;

  const http2 = createServer({
    settings: { maxConcurrentStreams, maxHeaderListSize: maxHeaderBytes },
    maxSessionMemory: sessionMegabytes,
  });
  const handle = (request: Http2ServerRequest, response: Http2ServerResponse) => {
    limit(request, config.requestTimeoutMs, clock);
    // The compatibility API of Node: all that the faces use of these is the same.
    deps.handle(request as unknown as IncomingMessage, response as unknown as ServerResponse);
  };
  http2.on("request", handle);
  http2.on("checkContinue", handle);
  http2.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    // A broken connection: its streams hear of it.
    session.on("error", () => undefined);
    closeWhenIdle(session, config.keepAliveTimeoutMs);
  });

  const serveHttp1 = server.listeners("connection") as ((socket: Socket) => void)[];
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    undecided.add(socket);
    let head: Buffer = Buffer.alloc(0);
    const decide = () => {
      cancel();
      undecided.delete(socket);
      socket.off("data", look).off("close", decide);
    };
    const cancel = clock.after(config.prefaceTimeoutMs, () => {
      decide();
      deps.onSilence(socket);
      // Whoever keeps his own end open would keep the connection, and hold up a stop.
      socket.destroySoon();
    });
    const look = (chunk: Buffer) => {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      const compared = Math.min(head.length, preface.length);
      const isHttp2 = preface.subarray(0, compared).equals(head.subarray(0, compared));
      if (isHttp2 && head.length < preface.length) return;
      decide();
      socket.pause();
      socket.unshift(head);
      if (isHttp2) {
        if (closing) return void socket.destroy();
        // HTTP/2 has an end of its own for each direction: a half of a connection is none.
        socket.allowHalfOpen = false;
        http2.emit("connection", socket);
      } else {
        deps.onHttp1(socket);
        for (const serve of serveHttp1) serve.call(server, socket);
        // A session of HTTP/2 reads by itself what has come already.
        socket.resume();
      }
    };
    socket.on("data", look).once("close", decide);
    // Until somebody else listens to it.
    socket.on("error", () => undefined);
  });

  return {
    close() {
      closing = true;
      for (const socket of undecided) socket.destroy();
      for (const session of sessions) session.close();
    },
    destroy() {
      for (const session of sessions) session.destroy();
    },
  };
}

/** A request that has not arrived in time is reset; an answer may take as long as it likes. */
function limit(request: Http2ServerRequest, timeoutMs: number, clock: Clock): void {
  if (request.stream.readableEnded || request.complete) return;
  const { stream } = request;
  const cancel = clock.after(timeoutMs, () => stream.close(noError));
  stream.once("close", cancel);
  request.once("end", cancel);
}

// The answer may be there by now: a reset for another reason would take it back (RFC 9113, 8.1).
const noError = 0;

/** Without calls it ends; with calls that are silent, a ping finds out whether the client is still there. */
function closeWhenIdle(session: ServerHttp2Session, timeoutMs: number): void {
  let open = 0;
  session.on("stream", (stream: ServerHttp2Stream) => {
    open++;
    stream.once("close", () => open--);
  });
  session.setTimeout(timeoutMs, () => {
    if (session.destroyed || session.closed) return;
    if (open === 0) session.close();
    else session.ping(() => undefined);
  });
}
