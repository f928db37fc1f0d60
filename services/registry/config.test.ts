import { describe, expect, it } from "vitest";
import { readRegistryConfig } from "./config.ts";

describe("the registry's configuration", () => {
  it("listens on this machine alone unless told otherwise", () => {
    expect(readRegistryConfig({})).toMatchObject({
      httpAddress: { host: "127.0.0.1", port: 8080 },
      grpcAddress: { host: "127.0.0.1", port: 9090 },
      opsAddress: { host: "127.0.0.1", port: 9190 },
    });
  });

  it("refuses to listen elsewhere without tokens, on either port", () => {
    expect(() => readRegistryConfig({ CARILLON_HTTP_ADDR: "0.0.0.0:8080", CARILLON_GRPC_ADDR: ":9090" })).toThrow(
      /CARILLON_HTTP_ADDR.*CARILLON_API_TOKENS[\s\S]*CARILLON_GRPC_ADDR.*CARILLON_API_TOKENS/,
    );
    const config = readRegistryConfig({ CARILLON_HTTP_ADDR: "0.0.0.0:8080", CARILLON_API_TOKENS: "a, b" });
    expect(config.apiTokens).toEqual(["a", "b"]);
  });

  it("tells everything that is wrong at once", () => {
    const env = { CARILLON_METRICS_PEERS: "127.0.0.1:9191,nope", CARILLON_HTTP_ADRR: "x", CARILLON_REPLICAS: "x" };
    expect(() => readRegistryConfig(env)).toThrow(/nope[\s\S]*did you mean CARILLON_HTTP_ADDR/);
    expect(() => readRegistryConfig(env)).toThrow(/CARILLON_REPLICAS/);
  });
});
