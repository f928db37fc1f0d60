import { distance as levenshtein } from "fastest-levenshtein";
import { type LogFormat, type LogLevel, logFormats, logLevels } from "./log.ts";

/** Every variable that some part of Carillon reads; any other CARILLON_* is a mistake. */
const knownVariables = [
  "CARILLON_API_TOKENS",
  "CARILLON_BROKER_MAX_BYTES",
  "CARILLON_CORS_ORIGINS",
  "CARILLON_DATA_DIR",
  "CARILLON_EXECUTOR_GRPC_ADDR",
  "CARILLON_EXECUTOR_ID",
  "CARILLON_EXTERNAL",
  "CARILLON_GRPC_ADDR",
  "CARILLON_HISTORY_ADDR",
  "CARILLON_HISTORY_GRPC_ADDR",
  "CARILLON_HISTORY_MAX_BYTES",
  "CARILLON_HISTORY_RETENTION",
  "CARILLON_HTTP_ADDR",
  "CARILLON_INTERNAL_TOKEN",
  "CARILLON_LOG_FORMAT",
  "CARILLON_LOG_LEVEL",
  "CARILLON_METRICS_PEERS",
  "CARILLON_NAME_SERVERS",
  "CARILLON_OPS_ADDR",
  "CARILLON_REPLICAS",
  "CARILLON_TICKER_GRPC_ADDR",
  "CARILLON_TICKER_ID",
  "NATS_URL",
] as const;

export type VariableName = (typeof knownVariables)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Address {
  host: string;
  port: number;
}

/** All that is wrong with the environment, one line a variable. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`the configuration is not valid:\n${problems.map((p) => `  ${p}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/**
 * Reads the environment once: each reader notes what is wrong and goes on, and
 * `done` throws one ConfigError with everything, unknown CARILLON_* names included.
 */
export function readEnvironment(env: Environment) {
  const problems: string[] = [];
  // An empty variable counts as unset: that is how compose files leave one out.
  const raw = (name: VariableName) => env[name]?.trim() || undefined;
  const text = (name: VariableName, fallback: string) => raw(name) ?? fallback;
  const oneOf = <Word extends string>(name: VariableName, words: readonly Word[], fallback: Word): Word => {
    const value = text(name, fallback);
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    problems.push(`${name}: expected one of ${words.join(", ")}, got "${value}"`);
    return fallback;
  };
  return {
    text,
    optional: raw,
    list(name: VariableName): string[] {
      return (raw(name) ?? "")
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== "");
    },
    integer(name: VariableName, fallback: number, min: number, max: number): number {
      const value = raw(name);
      if (value === undefined) return fallback;
      const number = Number(value);
      if (/^\d+$/.test(value) && number >= min && number <= max) return number;
      problems.push(`${name}: expected a whole number from ${min} to ${max}, got "${value}"`);
      return fallback;
    },
    /** A span of whole seconds. */
    durationSeconds(name: VariableName, fallback: string, least: string): number {
      const value = text(name, fallback);
      const seconds = parseQuantity(value, secondsOf);
      if (seconds !== undefined && seconds >= (parseQuantity(least, secondsOf) ?? 0)) return seconds;
      problems.push(`${name}: expected a number and s, m, h or d, as in 30d, and at least ${least}; got "${value}"`);
      return 0;
    },
    /** A size; undefined when the variable is not set. */
    bytes(name: VariableName, least: string): number | undefined {
      const value = raw(name);
      if (value === undefined) return undefined;
      const bytes = parseQuantity(value, bytesOf);
      if (bytes !== undefined && bytes >= (parseQuantity(least, bytesOf) ?? 0)) return bytes;
      problems.push(`${name}: expected a number and MB, GB or TB, as in 10GB, and at least ${least}; got "${value}"`);
      return undefined;
    },
    address(name: VariableName, fallback: string): Address {
      const value = text(name, fallback);
      const address = parseAddress(value);
      if (address) return address;
      problems.push(`${name}: expected host:port, got "${value}"`);
      return { host: "127.0.0.1", port: 0 };
    },
    /** One broker's URL or several, separated by commas; undefined when the variable is not set. */
    natsUrl(): string | undefined {
      const value = raw("NATS_URL");
      for (const url of value?.split(",") ?? []) {
        if (!parseNatsUrl(url)) problems.push(`NATS_URL: expected nats://host:port, got "${url.trim()}"`);
      }
      return value;
    },
    logLevel: (): LogLevel => oneOf("CARILLON_LOG_LEVEL", logLevels, "info"),
    logFormat: (): LogFormat => oneOf("CARILLON_LOG_FORMAT", logFormats, "auto"),
    /** Notes what a reader of its own found: the name of the variable, and what is wrong with it. */
    problem: (line: string) => problems.push(line),
    /** Throws ConfigError when anything was wrong. */
    done(): void {
      problems.push(...unknownVariables(env));
      if (problems.length > 0) throw new ConfigError(problems);
    },
  };
}

export type EnvironmentReader = ReturnType<typeof readEnvironment>;

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };
const bytesOf: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, TB: 1e12 };

/** A whole number and a unit, as in "30d"; undefined when it is no such thing. */
function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,9})\s?([A-Za-z]+)$/.exec(text) ?? [];
  const scale = Object.hasOwn(units, unit) ? units[unit] : undefined;
  return digits === undefined || scale === undefined ? undefined : Number(digits) * scale;
}

/** "host:port", "[::1]:port" or ":port" (all interfaces); undefined when it is neither. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] || "0.0.0.0"), port };
}

const natsPort = 4222;

/** Where a broker is: "nats://host:port", with the scheme and the port to be left out; undefined when it is no such thing. */
export function parseNatsUrl(text: string): Address | undefined {
  const host = /^(?:nats:\/\/|tls:\/\/)?([^\s/@?#]+)\/?$/.exec(text.trim())?.[1];
  if (host === undefined || !URL.canParse(`http://${host}`)) return undefined;
  const { hostname, port } = new URL(`http://${host}`);
  // A URL leaves out the port that its own scheme has by default.
  return { host: hostname.replace(/^\[|\]$/g, ""), port: host.endsWith(":80") ? 80 : Number(port || natsPort) };
}

export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** One problem line for each CARILLON_* variable that nothing reads. */
function unknownVariables(env: Environment): string[] {
  const known: ReadonlySet<string> = new Set(knownVariables);
  return Object.keys(env)
    .filter((name) => name.startsWith("CARILLON_") && !known.has(name))
    .sort()
    .map((name) => {
      const near = nearest(name, knownVariables);
      return `${name}: unknown variable${near ? `; did you mean ${near}?` : ""}`;
    });
}

// Farther than this a suggestion confuses more than it helps.
const farthestSuggestion = 6;

/** The candidate with the smallest edit distance, when one is near enough. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const allowed = Math.min(farthestSuggestion, Math.floor(word.length / 2));
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    // The distance is at least this, and computing it costs the product of both lengths.
    if (Math.abs(word.length - candidate.length) > allowed) continue;
    const distance = levenshtein(word, candidate);
    if (distance <= allowed && (!best || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}
