import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { closedPort } from "../support/closed-port.ts";

/**
 * Everything that a target can do badly, in a process of its own. Each behaviour
 * has a port, on all loopback addresses; → parent: BadPorts.
 */
export interface BadPorts {
  /** Takes the request and never answers. */
  hanging: number;
  /** Begins an answer, and sends a byte of it a second. */
  trickling: number;
  /** Begins an answer that never ends, and sends as fast as it is read. */
  endless: number;
  /** Answers at once, but for paths that begin with /hang. */
  shared: number;
  /** Answers 503 at once. */
  unavailable: number;
  /** Nobody listens there. */
  refused: number;
  /** A name server that never answers. */
  names: number;
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
const chunk = `1000\r\n${"x".repeat(4_096)}\r\n`;
const unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const done = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    serve(socket);
  }).listen(0, "0.0.0.0", 1024);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function silentNames(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket.address().port;
}

function trickle(socket: Socket): void {
  socket.once("data", () => {
    socket.write(head);
    const timer = setInterval(() => socket.write("1\r\nx\r\n"), 1_000);
    socket.on("close", () => clearInterval(timer));
  });
  socket.resume();
}

function pour(socket: Socket): void {
  const more = () => {
    while (socket.writable && socket.write(chunk));
  };
  socket.on("drain", more);
  socket.once("data", () => {
    socket.write(head);
    more();
  });
}

function share(socket: Socket): void {
  socket.on("data", (bytes) => {
    // A call in one piece is all that the bench sends here.
    if (!bytes.subarray(0, 20).includes("/hang")) socket.write(done);
  });
}

function fail(socket: Socket): void {
  socket.on("data", () => socket.write(unavailable));
}

const ports: BadPorts = {
  unavailable: await listen(fail),
  hanging: await listen((socket) => socket.resume()),
  trickling: await listen(trickle),
  endless: await listen(pour),
  shared: await listen(share),
  refused: await closedPort(),
  names: await silentNames(),
};
process.on("disconnect", () => process.exit(0));
process.send?.(ports);
