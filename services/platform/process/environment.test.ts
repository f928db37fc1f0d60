import { describe, expect, it } from "vitest";
import {
  ConfigError,
  formatAddress,
  isLoopback,
  nearest,
  parseAddress,
  parseNatsUrl,
  readEnvironment,
} from "./environment.ts";

function problemsOf(read: () => void): readonly string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("the environment", () => {
  it("reports every problem together, each with its variable", () => {
    const problems = problemsOf(() => {
      const env = readEnvironment({
        CARILLON_REPLICAS: "many",
        CARILLON_GRPC_ADDR: "9090",
        CARILLON_LOG_LEVEL: "loud",
        CARILLON_HTTP_ADR: "127.0.0.1:1",
        PATH: "/bin",
      });
      env.integer("CARILLON_REPLICAS", 1, 1, 5);
      env.address("CARILLON_GRPC_ADDR", "127.0.0.1:9090");
      env.logLevel();
      env.done();
    });
    expect(problems).toEqual([
      'CARILLON_REPLICAS: expected a whole number from 1 to 5, got "many"',
      'CARILLON_GRPC_ADDR: expected host:port, got "9090"',
      'CARILLON_LOG_LEVEL: expected one of trace, debug, info, warn, error, fatal, silent, got "loud"',
      "CARILLON_HTTP_ADR: unknown variable; did you mean CARILLON_HTTP_ADDR?",
    ]);
  });

  it("takes an empty variable for one that is not set", () => {
    const env = readEnvironment({ CARILLON_REPLICAS: "", CARILLON_API_TOKENS: " " });
    expect(env.integer("CARILLON_REPLICAS", 3, 1, 5)).toBe(3);
    expect(env.list("CARILLON_API_TOKENS")).toEqual([]);
    env.done();
  });

  it("splits lists and drops empty items", () => {
    expect(readEnvironment({ CARILLON_API_TOKENS: "a, b,,c" }).list("CARILLON_API_TOKENS")).toEqual(["a", "b", "c"]);
  });
});

describe("an address", () => {
  it.each([
    ["127.0.0.1:80", { host: "127.0.0.1", port: 80 }],
    ["[::1]:80", { host: "::1", port: 80 }],
    [":80", { host: "0.0.0.0", port: 80 }],
    ["name.example:0", { host: "name.example", port: 0 }],
  ])("%s is read", (text, address) => expect(parseAddress(text)).toEqual(address));

  it.each(["", "80", "host", "host:", "host:99999", "::1:80"])("%j is refused", (text) =>
    expect(parseAddress(text)).toBeUndefined());

  it("is written so that it can be read again", () => {
    for (const text of ["127.0.0.1:80", "[::1]:80"])
      expect(formatAddress(parseAddress(text) ?? { host: "", port: 0 })).toBe(text);
  });

  it("is loopback only when no other machine can reach it", () => {
    expect(["127.0.0.1", "127.9.9.9", "::1", "localhost"].every(isLoopback)).toBe(true);
    expect(["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example"].some(isLoopback)).toBe(false);
  });
});

describe("a broker's URL", () => {
  it.each([
    ["nats://a.example:4223", { host: "a.example", port: 4223 }],
    ["a.example", { host: "a.example", port: 4222 }],
    ["nats://[::1]:80/", { host: "::1", port: 80 }],
  ])("%s is read", (text, address) => expect(parseNatsUrl(text)).toEqual(address));

  it.each(["http://a:1", "nats://user:secret@a:1", "nats://", "nats://a:port", "a b"])("%j is refused", (text) =>
    expect(parseNatsUrl(text)).toBeUndefined());

  it("is named when it is refused, one of several too", () => {
    expect(
      problemsOf(() => {
        const read = readEnvironment({ NATS_URL: "nats://a:1, http://b" });
        read.natsUrl();
        read.done();
      }),
    ).toEqual(['NATS_URL: expected nats://host:port, got "http://b"']);
  });
});

describe("the nearest candidate", () => {
  it("is one that a slip of the keys leads to, and none for a word that is far too long", () => {
    expect(nearest("scedule", ["schedule", "api_endpoint"])).toBe("schedule");
    expect(nearest("zebra", ["schedule", "api_endpoint"])).toBeUndefined();
    expect(nearest("k".repeat(15_000_000), ["schedule", "api_endpoint"])).toBeUndefined();
  });
});

describe("spans and sizes", () => {
  const read = (env: Record<string, string>) => {
    const reader = readEnvironment(env);
    const values = [
      reader.durationSeconds("CARILLON_HISTORY_RETENTION", "30d", "1m"),
      reader.bytes("CARILLON_HISTORY_MAX_BYTES", "16MB"),
    ];
    reader.done();
    return values;
  };

  it.each([
    [{}, [2_592_000, undefined]],
    [{ CARILLON_HISTORY_RETENTION: "60s", CARILLON_HISTORY_MAX_BYTES: "16MB" }, [60, 16e6]],
    [{ CARILLON_HISTORY_RETENTION: "90m", CARILLON_HISTORY_MAX_BYTES: "10GB" }, [5_400, 1e10]],
    [{ CARILLON_HISTORY_RETENTION: "12h", CARILLON_HISTORY_MAX_BYTES: "2 TB" }, [43_200, 2e12]],
  ])("are read in their units: %j", (env, expected) => {
    expect(read(env)).toEqual(expected);
  });

  it.each([
    ["CARILLON_HISTORY_RETENTION", "30"],
    ["CARILLON_HISTORY_RETENTION", "-1d"],
    ["CARILLON_HISTORY_RETENTION", "1.5d"],
    ["CARILLON_HISTORY_RETENTION", "59s"],
    ["CARILLON_HISTORY_RETENTION", "30constructor"],
    ["CARILLON_HISTORY_MAX_BYTES", "15MB"],
    ["CARILLON_HISTORY_MAX_BYTES", "10G"],
    ["CARILLON_HISTORY_MAX_BYTES", "none"],
  ])("are refused with an example where they are none: %s=%s", (name, value) => {
    const [problem] = problemsOf(() => read({ [name]: value }));
    const example = name.endsWith("BYTES") ? "as in 10GB, and at least 16MB" : "as in 30d, and at least 1m";
    expect(problem).toMatch(new RegExp(`^${name}: expected a number and `));
    expect(problem).toContain(`${example}; got "${value}"`);
  });
});
