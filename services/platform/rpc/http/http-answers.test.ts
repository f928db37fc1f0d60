import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { expect, test } from "vitest";
import { RpcError } from "../errors/rpc-error.ts";
import { sendError, takesGzip } from "./http-answers.ts";

test.each([
  [1, 1],
  [1_000, 1],
  [1_200, 2],
])("who is asked to wait for %i ms is told whole seconds, and never too few: %i", (retryDelayMs, seconds) => {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  sendError(response, new RpcError("RESOURCE_EXHAUSTED", "too many", { reason: "QUOTA", retryDelayMs }));
  expect(response.statusCode).toBe(429);
  expect(response.getHeader("retry-after")).toBe(seconds);
});

test.each([
  [undefined, false],
  ["", false],
  ["identity", false],
  ["br", false],
  ["gzip", true],
  ["br, GZIP", true],
  ["gzip;q=0", false],
  ["gzip; q=0.0, *", false],
  ["gzip;q=0.5", true],
  ["*", true],
  ["*;q=0", false],
  ["x-gzip-like", false],
  ["gzip;level=9", true],
])("who accepts %j is sent gzip: %j", (acceptEncoding, sent) => {
  expect(takesGzip(acceptEncoding)).toBe(sent);
});
