import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way to a server whose answers the test can hold back. */
export interface HeldConnection {
  /** Connect here instead. */
  readonly port: number;
  /** Answers do not go on any more once a request has this in it. */
  holdAfter(request: string): void;
  /** What has this in it does not arrive from now on; undefined: all does. */
  lose(request: string | undefined): void;
  /**
   * Nothing goes either way any more on the connections that there are, and nobody is told, as where the machine behind an
   * address is gone. New ones work.
   */
  silence(): void;
  /** How many were ever made. */
  connections(): number;
  /** How often something did not arrive. */
  lost(): number;
  /** Bytes that are held back. */
  heldBytes(): number;
  /** Lets all of them go, and those that come. */
  release(): void;
  stop(): Promise<void>;
}

export async function holdConnection(host: string, port: number): Promise<HeldConnection> {
  const sockets = new Set<Socket>();
  let held: { client: Socket; bytes: Buffer }[] | undefined;
  let holding: string | undefined;
  let losing: string | undefined;
  let lost = 0;
  let connections = 0;
  const clients = new Set<Socket>();
  const silent = new WeakSet<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
    }
    connections++;
    clients.add(client);
    client.on("close", () => clients.delete(client));
    client.on("data", (bytes) => {
      if (silent.has(client)) return;
      if (holding !== undefined && bytes.includes(holding)) held ??= [];
      if (losing !== undefined && bytes.includes(losing)) lost++;
      else upstream.write(bytes);
    });
    upstream.on("data", (bytes) => {
      if (silent.has(client)) return;
      if (held) held.push({ client, bytes });
      else client.write(bytes);
    });
    upstream.on("close", () => silent.has(client) || client.destroy());
    client.on("close", () => upstream.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    holdAfter(request) {
      holding = request;
    },
    lose(request) {
      losing = request;
    },
    silence() {
      for (const client of clients) silent.add(client);
    },
    connections: () => connections,
    lost: () => lost,
    heldBytes: () => held?.reduce((sum, { bytes }) => sum + bytes.length, 0) ?? 0,
    release() {
      holding = undefined;
      for (const { client, bytes } of held ?? []) client.write(bytes);
      held = undefined;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
