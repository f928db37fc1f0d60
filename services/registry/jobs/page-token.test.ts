import { expect, it } from "vitest";
import { decodePageToken, encodePageToken } from "./page-token.ts";

const jobId = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

it("a page token leads back to its place, and nothing else is one", () => {
  expect(decodePageToken(encodePageToken(jobId))).toBe(jobId);
  expect(decodePageToken("")).toBe("");
  const foreign = Buffer.from(`executions/1/${jobId}`).toString("base64url");
  for (const token of [jobId, `${encodePageToken(jobId)}=`, foreign, encodePageToken("x")]) {
    expect(decodePageToken(token), token).toBeUndefined();
  }
});
