import { describe, expect, it } from "vitest";
import { decodePageToken, encodePageToken } from "./page-token.ts";

const job = "01932f0c-47b1-7a7c-9d3e-5a1c0f2e8b61";

describe("a page token", () => {
  it.each([
    { second: 0, run: "" },
    { second: 1_764_000_000, run: "" },
    { second: 1_764_000_000, run: "m0abc9" },
  ])("brings back the position $second/$run", (position) => {
    expect(decodePageToken(job, encodePageToken(job, position))).toEqual(position);
  });

  it("is bound to its job", () => {
    const token = encodePageToken(job, { second: 1, run: "" });
    expect(decodePageToken("01932f0c-47b1-7a7c-9d3e-5a1c0f2e8b62", token)).toBeUndefined();
  });

  it("is refused when anything in it was changed", () => {
    const token = encodePageToken(job, { second: 1_764_000_000, run: "m1" });
    for (let i = 0; i < token.length; i++) {
      const changed = `${token.slice(0, i)}${token[i] === "A" ? "B" : "A"}${token.slice(i + 1)}`;
      expect(decodePageToken(job, changed)).toBeUndefined();
    }
    for (const junk of ["x", "5", `${token}A`, `${token}=`, ` ${token}`, token.slice(1), "🎉"]) {
      expect(decodePageToken(job, junk)).toBeUndefined();
    }
  });
});
