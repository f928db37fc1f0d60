import type { Environment } from "../../platform/process/environment.ts";
import { mainFile, type ServiceName } from "./services.ts";

/**
 * What starts a service by hand, beside the launcher that leaves it out: its
 * whole configuration, and a debugger's port. For a POSIX shell, in one line.
 */
export function startCommand(name: ServiceName, env: Environment): string {
  const settings = Object.entries(env)
    .filter(([variable, value]) => isSetting(variable) && value !== undefined && value !== "")
    .map(([variable, value]) => `${variable}=${quoted(value ?? "")}`)
    .sort();
  return ["env", ...settings, quoted(process.execPath), "--inspect", quoted(mainFile(name))].join(" ");
}

/** The rest of the environment is that of whoever starts it. */
function isSetting(variable: string): boolean {
  if (variable === "CARILLON_EXTERNAL") return false;
  return variable === "NATS_URL" || variable.startsWith("CARILLON_");
}

function quoted(text: string): string {
  return /^[\w./:@,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
