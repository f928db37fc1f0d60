import { errors } from "undici";
import { describe, expect, it } from "vitest";
import { outcomeOfError } from "./network-failure.ts";

describe("outcomeOfError", () => {
  it("blames nobody for closing a connection that undici gave up because of an interim status", () => {
    for (const [said, status] of [["bad response", 100] as const, ["bad upgrade", 101] as const]) {
      expect(outcomeOfError(new errors.SocketError(said), "http://example.com")).toMatchObject({
        reason: "NETWORK_ERROR",
        message: `example.com answered with the unexpected status ${status}`,
      });
    }
    expect(outcomeOfError(new errors.SocketError("other side closed"), "http://example.com")).toMatchObject({
      reason: "CONNECTION_RESET",
    });
  });

  it("leaves Node's advice on its command line out of what it says of a certificate", () => {
    const code = "DEPTH_ZERO_SELF_SIGNED_CERT";
    const advice = "; if the root CA is installed locally, try running Node.js with --use-system-ca";
    for (const end of ["", advice]) {
      const error = Object.assign(new Error(`self-signed certificate${end}`), { code });
      expect(outcomeOfError(error, "https://example.com")).toMatchObject({
        reason: "TLS_ERROR",
        message: `no secure connection to example.com: self-signed certificate (${code})`,
      });
    }
  });
});
