import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);
const installTimeoutMs = 600_000;

/** Installs Debian's packages, by root alone. It does not throw: what needs them says what is missing. `say` is told. */
export async function installFromDebian(packages: readonly string[], say: (line: string) => void): Promise<void> {
  if (process.getuid?.() !== 0) return;
  say(`installing ${packages.join(", ")} from Debian (once) ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) => run("apt-get", ["-q", "-y", ...args], { env, timeout: installTimeoutMs });
  try {
    await apt("update");
    await apt("install", "--no-install-recommends", ...packages);
  } catch (error) {
    say(`${packages[0]} was not installed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Whether these packages of Debian are installed. */
export async function haveFromDebian(packages: readonly string[]): Promise<boolean> {
  try {
    const { stdout } = await run("dpkg-query", ["-W", "-f", `\${db:Status-Abbrev}\n`, ...packages]);
    return stdout
      .trimEnd()
      .split("\n")
      .every((status) => status.startsWith("ii"));
  } catch {
    return false;
  }
}
