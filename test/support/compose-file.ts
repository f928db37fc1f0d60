import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { repositoryDir } from "./nats.ts";

/** A service of docker-compose.yml, as far as it is held to something. */
export interface ComposeService {
  image: string;
  build?: string;
  pull_policy?: string;
  command: string[];
  scale?: number;
  profiles?: string[];
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  configs?: { source: string; target: string }[];
  extra_hosts?: string[];
  healthcheck?: { test: string[] };
  read_only?: boolean;
  tmpfs?: string[];
  cap_drop?: string[];
  security_opt?: string[];
  mem_limit?: string;
  logging?: { options: Record<string, string> };
}

export interface ComposeFile {
  services: Record<string, ComposeService>;
  volumes: Record<string, null>;
  configs: Record<string, { file: string }>;
}

/** docker-compose.yml as Compose resolves it: merge keys, then the variables of its environment, in values alone. */
export function readComposeFile(env: Record<string, string>): ComposeFile {
  const text = readFileSync(join(repositoryDir, "docker-compose.yml"), "utf8");
  return interpolated(parse(text, { merge: true }), env) as ComposeFile;
}

function interpolated(value: unknown, env: Record<string, string>): unknown {
  if (typeof value === "string") return interpolate(value, env);
  if (Array.isArray(value)) return value.map((item) => interpolated(item, env));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolated(item, env)]));
}

/** $$, $NAME, ${NAME}, and what stands behind :-, -, :? and ?. Throws where a variable is asked for and not there. */
export function interpolate(text: string, env: Record<string, string>): string {
  return text.replaceAll(
    /\$(?:(\$)|(\w+)|\{(\w+)(?:(:?[-?])([^}]*))?\})/g,
    (_, dollar?: string, plain?: string, name = plain ?? "", operator = "", word = "") => {
      if (dollar !== undefined) return "$";
      const value = env[name];
      const there = value !== undefined && (value !== "" || !operator.startsWith(":"));
      if (there) return value;
      if (operator.endsWith("?")) throw new Error(`required variable ${name} is missing a value: ${word}`);
      return operator.endsWith("-") ? word : "";
    },
  );
}
