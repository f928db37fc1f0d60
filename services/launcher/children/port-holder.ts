import { readdir, readFile, readlink } from "node:fs/promises";
import { commandLine } from "./orphans.ts";

const listening = "0A";
const longestCommand = 80;

/**
 * Who listens on a port, for a person to find: "process 42 (node server.js)". Undefined where the system
 * does not tell: for processes of others, and anywhere but on Linux.
 */
export async function portHolder(port: number): Promise<string | undefined> {
  const inodes = new Set((await Promise.all(["tcp", "tcp6"].map((table) => socketsOn(table, port)))).flat());
  if (inodes.size === 0) return undefined;
  for (const pid of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(pid) || !(await holdsOne(pid, inodes))) continue;
    const command = (await commandLine(Number(pid))).trim();
    return `process ${pid} (${command.length > longestCommand ? `${command.slice(0, longestCommand)}…` : command})`;
  }
  return undefined;
}

/** The inodes of the sockets that listen on it: one line a socket, of which the second word is the local address. */
async function socketsOn(table: string, port: number): Promise<string[]> {
  const lines = (await readFile(`/proc/net/${table}`, "utf8").catch(() => "")).split("\n");
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return lines.flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    return local?.endsWith(`:${hex}`) && state === listening && inode !== undefined ? [inode] : [];
  });
}

async function holdsOne(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined && inodes.has(inode)) return true;
  }
  return false;
}
