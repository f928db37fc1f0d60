import { createHash } from "node:crypto";
import { createServer, type Server } from "node:net";

// Below the ephemeral ranges of Linux (32768) and macOS (49152): no outgoing
// connection can sit on a port while its owner restarts.
const firstPort = 15_008;
const lastPort = 30_000;
const blockSize = 16;
const blocks = Math.floor((lastPort - firstPort) / blockSize);
const loopback = "127.0.0.1";

export interface PortBlock {
  /** The next free port of the block. Throws when it is used up. */
  take(): number;
  release(): Promise<void>;
}

/**
 * Reserves a block of neighbouring ports on the loopback interface. The first
 * one is held open as a sign to all others who reserve, and the system takes
 * that sign away when this process dies, however it dies. The same seed starts
 * looking at the same block, so that an instance tends to keep its ports.
 * Ports in `except` are never given out.
 */
export async function reservePorts(seed: string, except: ReadonlySet<number> = new Set()): Promise<PortBlock> {
  const start = createHash("sha256").update(seed).digest().readUInt32BE(0) % blocks;
  for (let i = 0; i < blocks; i++) {
    const base = firstPort + ((start + i) % blocks) * blockSize;
    const sign = await listen(loopback, base);
    if (typeof sign === "string") continue;
    const free: number[] = [];
    for (let port = base + 1; port < base + blockSize; port++) {
      if (!except.has(port) && (await isFree(loopback, port))) free.push(port);
    }
    // Something foreign sits in this block: the next one is as good.
    if (free.length < blockSize - 1 - except.size) {
      await close(sign);
      continue;
    }
    return {
      take() {
        const port = free.shift();
        if (port === undefined) throw new Error(`more than ${blockSize - 1} ports asked of one block`);
        return port;
      },
      release: () => close(sign),
    };
  }
  throw new Error(`no free block of ports between ${firstPort} and ${lastPort} on ${loopback}`);
}

/** Whether the address can be listened on at this moment. */
export async function isFree(host: string, port: number): Promise<boolean> {
  return (await whyNotFree(host, port)) === undefined;
}

/** The system's code for what is in the way of listening there; undefined when nothing is. */
export async function whyNotFree(host: string, port: number): Promise<string | undefined> {
  const server = await listen(host, port);
  if (typeof server === "string") return server;
  await close(server);
  return undefined;
}

function listen(host: string, port: number): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => resolve(server.unref()));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
