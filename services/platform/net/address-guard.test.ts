import { describe, expect, it } from "vitest";
import { isRefusedAddress } from "./address-guard.ts";

describe("isRefusedAddress", () => {
  it("refuses link-local and metadata addresses in every notation", () => {
    for (const address of [
      "169.254.169.254",
      "169.254.0.1",
      "fe80::1",
      "febf::1",
      "fd00:ec2::254",
      "::ffff:169.254.169.254",
      "::ffff:a9fe:a9fe",
      "64:ff9b::a9fe:a9fe",
      "100.100.100.200",
    ]) {
      expect(isRefusedAddress(address), address).toBe(true);
    }
  });

  it("allows loopback, private and public addresses", () => {
    for (const address of ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd12::1", "93.184.216.34", "169.253.0.1"]) {
      expect(isRefusedAddress(address), address).toBe(false);
    }
  });
});
