import { describe, expect, it } from "vitest";
import { readCommonSettings, readDataDir, readFrontDoor, readHistoryAccess } from "./common-settings.ts";
import { ConfigError, type EnvironmentReader, readEnvironment } from "./environment.ts";

const loopback = (port: number) => ({ host: "127.0.0.1", port });

function problemsOf(env: Record<string, string>, readSettings: (read: EnvironmentReader) => unknown) {
  const read = readEnvironment(env);
  readSettings(read);
  try {
    read.done();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("the settings that several services share", () => {
  it("have the defaults of one machine", () => {
    const read = readEnvironment({});
    expect(readCommonSettings(read, { opsPort: 9199 })).toEqual({
      natsUrl: "nats://127.0.0.1:4222",
      replicas: 1,
      brokerMaxBytes: undefined,
      opsAddress: loopback(9199),
      logLevel: "info",
      logFormat: "auto",
    });
    expect(readHistoryAccess(read)).toEqual({ historyAddress: loopback(9093), internalToken: undefined });
    expect(readDataDir(read)).toBe(".carillon");
    expect(readFrontDoor(read)).toEqual({
      httpAddress: loopback(8080),
      grpcAddress: loopback(9090),
      apiTokens: [],
      corsOrigins: [],
    });
    read.done();
  });

  it("are what the environment says", () => {
    const read = readEnvironment({
      NATS_URL: "nats://a:1,nats://b:2",
      CARILLON_REPLICAS: "3",
      CARILLON_BROKER_MAX_BYTES: "8388608",
      CARILLON_OPS_ADDR: ":1",
      CARILLON_LOG_LEVEL: "warn",
      CARILLON_LOG_FORMAT: "text",
      CARILLON_HISTORY_ADDR: "history:9093",
      CARILLON_INTERNAL_TOKEN: "secret",
      CARILLON_DATA_DIR: "/data",
    });
    expect(readCommonSettings(read, { opsPort: 9199 })).toEqual({
      natsUrl: "nats://a:1,nats://b:2",
      replicas: 3,
      opsToken: "secret",
      brokerMaxBytes: 8_388_608,
      opsAddress: { host: "0.0.0.0", port: 1 },
      logLevel: "warn",
      logFormat: "text",
    });
    expect(readHistoryAccess(read)).toEqual({
      historyAddress: { host: "history", port: 9093 },
      internalToken: "secret",
    });
    expect(readDataDir(read)).toBe("/data");
    read.done();
  });
});

describe("the front door", () => {
  const open = { CARILLON_HTTP_ADDR: "0.0.0.0:8080", CARILLON_GRPC_ADDR: ":9090" };

  it("is not opened to other machines without tokens, on either port", () => {
    expect(problemsOf(open, readFrontDoor)).toEqual([
      expect.stringMatching(/^CARILLON_HTTP_ADDR: 0\.0\.0\.0:8080 .*CARILLON_API_TOKENS/),
      expect.stringMatching(/^CARILLON_GRPC_ADDR: 0\.0\.0\.0:9090 .*CARILLON_API_TOKENS/),
    ]);
    expect(problemsOf({ ...open, CARILLON_API_TOKENS: "," }, readFrontDoor)).toHaveLength(2);
    expect(problemsOf({ ...open, CARILLON_API_TOKENS: "a, b" }, readFrontDoor)).toEqual([]);
  });

  it.each([
    "*",
    "https://app.example.com",
    "http://localhost:5173,https://[::1]:8443",
    " https://a.example , https://b.example ",
  ])("lets in the pages of %j", (text) => {
    const read = readEnvironment({ CARILLON_CORS_ORIGINS: text });
    expect(readFrontDoor(read).corsOrigins).toEqual(text.split(",").map((origin) => origin.trim()));
    expect(problemsOf({ CARILLON_CORS_ORIGINS: text }, readFrontDoor)).toEqual([]);
  });

  it.each([
    "app.example.com",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://App.example.com",
    "https://app.example.com:443",
    "https://*.example.com",
    "https://user@app.example.com",
    "ftp://app.example.com",
    "null",
    "https://",
    "*,https://app.example.com",
  ])("does not take %j for origins", (text) => {
    expect(problemsOf({ CARILLON_CORS_ORIGINS: text }, readFrontDoor)).toEqual([
      expect.stringMatching(/^CARILLON_CORS_ORIGINS: /),
    ]);
  });
});
