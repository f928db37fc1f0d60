import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../process/clock.ts";
import type { Log } from "../../process/log.ts";
import type { Http2Door } from "./http2-door.ts";

export interface HttpDrain {
  /** A connection on which HTTP/1.1 is spoken, that has no request yet. */
  add(socket: Socket): void;
  /** Notes that a connection is busy until its response is done. */
  track(request: IncomingMessage, response: ServerResponse): void;
  /** No new connections; requests in flight may end; what is left after the span is cut off. */
  drain(drainMs: number, deps: { log: Log; clock: Clock }): Promise<void>;
}

/**
 * Node closes those connections that are idle at the moment of asking. One
 * without any request yet, or one that becomes idle a moment later, would hold
 * up the stop until the keep-alive timeout.
 */
export function createHttpDrain(server: Server, http2: Http2Door): HttpDrain {
  const idle = new Set<Socket>();
  let draining = false;
  return {
    add(socket) {
      if (draining) return void socket.destroy();
      idle.add(socket);
      socket.once("close", () => idle.delete(socket));
    },
    track(request, response) {
      const { socket } = request;
      idle.delete(socket);
      response.once("close", () => {
        if (draining) socket.destroySoon();
        else if (!socket.destroyed) idle.add(socket);
      });
    },
    drain(drainMs, { log, clock }) {
      draining = true;
      return new Promise((resolve) => {
        const cancel = clock.after(drainMs, () => {
          log.warn({ event: "http_requests_cut_off", drainMs });
          server.closeAllConnections();
          http2.destroy();
        });
        server.close(() => {
          cancel();
          resolve();
        });
        for (const socket of idle) socket.destroy();
        http2.close();
      });
    },
  };
}
