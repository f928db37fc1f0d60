import { describe, expect, it } from "vitest";
import { problemOfTargetUrl } from "./target-url.ts";

describe("the URL of a job", () => {
  it.each([
    "http://example.com",
    "https://example.com/hook?a=1&b=%20",
    "HTTP://EXAMPLE.com:80/",
    "http://127.0.0.1:9000/x",
    "http://[::1]:9000/x",
    "http://localhost:65535",
    "https://bücher.example/ä",
    "http://example.com/a@b?c=d:e",
  ])("takes %s", (url) => {
    expect(problemOfTargetUrl(url)).toBeUndefined();
  });

  it.each([
    ["example.com/hook", "absolute"],
    ["/hook", "absolute"],
    ["ftp://example.com", 'scheme "ftp"'],
    ["javascript:alert(1)", 'scheme "javascript"'],
    ["localhost:8080/x", 'scheme "localhost"'],
    ["http:example.com", '"//"'],
    ["http:///path", "host"],
    ["http://:80/", "host"],
    ["http://user:pw@example.com", "credentials"],
    ["http://@example.com", "credentials"],
    ["http://example.com/#top", "fragment"],
    ["http://example.com/a b", "spaces"],
    [" http://example.com", "spaces"],
    ["http://exa\nmple.com", "spaces"],
    ["http://example.com\\@evil", "\\"],
    ["http://example.com:0/", 'port "0"'],
    ["http://example.com:65536/", 'port "65536"'],
    ["http://example.com:8o/", 'port "8o"'],
    ["http://exa<mple/", "host"],
    ["http://[::1/", "host"],
    ["http://300.1.1.1/", "host"],
  ])("refuses %s and says why", (url, why) => {
    expect(problemOfTargetUrl(url)).toContain(why);
  });
});
