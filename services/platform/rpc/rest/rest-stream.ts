import type { ServerResponse } from "node:http";
import type { DescMessage, JsonValue, Message } from "@bufbuild/protobuf";
import type { Clock } from "../../process/clock.ts";
import type { RpcError } from "../errors/rpc-error.ts";
import { errorBody } from "../http/http-answers.ts";
import { drained, type HttpExchange } from "../http/http-exchange.ts";
import { writeMessage } from "../json/json-writer.ts";
import { eventIdOf, isBookmark } from "./resumption.ts";

/** Writes the messages of one server-streaming call. */
export interface StreamWriter {
  /** Whether it can tell a place in the stream without a message. */
  readonly takesBookmarks: boolean;
  /** Sends the headers; without effect the second time. */
  open(): void;
  /** The text of one message; throws when it has none. */
  format(message: Message): string;
  write(text: string): Promise<void>;
  /** Ends the stream; with an error when it was cut short. */
  end(error?: RpcError): void;
}

// Proxies and browsers drop connections on which nothing happens for longer.
const heartbeatMs = 15_000;

/** Server-sent events, unless the client asks for newline-delimited JSON. */
export function createStreamWriter(exchange: HttpExchange, desc: DescMessage, clock: Clock): StreamWriter {
  const accept = exchange.request.headers.accept ?? "";
  const wantsLines = /application\/(x-)?(ndjson|jsonl|json)/.test(accept) && !accept.includes("text/event-stream");
  return wantsLines ? lines(exchange, desc) : events(exchange, desc, clock);
}

function lines(exchange: HttpExchange, desc: DescMessage): StreamWriter {
  const { response } = exchange;
  const line = (json: JsonValue) => `${JSON.stringify(json)}\n`;
  const open = () => openWith(response, "application/x-ndjson");
  return {
    takesBookmarks: false,
    open,
    format: (message) => line(writeMessage(desc, message, { emitDefaults: !isBookmark(desc, message) })),
    async write(text) {
      open();
      if (!response.write(text)) await drained(response, exchange.signal);
    },
    end(error) {
      open();
      if (error) response.write(line(errorBody(error)));
      response.end();
    },
  };
}

/** HTML Living Standard, 9.2: an event named after the message, its JSON in one data line; an id where it can be resumed. */
function events(exchange: HttpExchange, desc: DescMessage, clock: Clock): StreamWriter {
  const { response } = exchange;
  const event = desc.name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
  let cancelHeartbeat = () => {};
  const beat = () => {
    cancelHeartbeat = clock.after(heartbeatMs, () => {
      response.write(": heartbeat\n\n");
      beat();
    });
  };
  const open = () => {
    if (!openWith(response, "text/event-stream")) return;
    response.once("close", () => cancelHeartbeat());
    beat();
  };
  return {
    takesBookmarks: true,
    open,
    format(message) {
      const eventId = eventIdOf(desc, message);
      const id = eventId === undefined ? "" : `id: ${eventId.replace(/[\r\n\0]/g, "")}\n`;
      // Without data it is no event: a client keeps the id alone.
      if (isBookmark(desc, message)) return `${id}\n`;
      return `${id}event: ${event}\ndata: ${JSON.stringify(writeMessage(desc, message))}\n\n`;
    },
    async write(text) {
      open();
      if (!response.write(text)) await drained(response, exchange.signal);
    },
    end(error) {
      open();
      cancelHeartbeat();
      if (error) response.write(`event: error\ndata: ${JSON.stringify(errorBody(error))}\n\n`);
      response.end();
    },
  };
}

function openWith(response: ServerResponse, contentType: string): boolean {
  if (response.headersSent || response.destroyed) return false;
  response.writeHead(200, {
    "content-type": contentType,
    "cache-control": "no-store",
    // nginx would hold the events back.
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
  });
  response.flushHeaders();
  return true;
}
