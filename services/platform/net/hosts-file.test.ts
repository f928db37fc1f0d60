import { describe, expect, it } from "vitest";
import { parseHosts } from "./hosts-file.ts";

describe("a hosts file", () => {
  it("gives a name all its addresses, in order and once", () => {
    const hosts = parseHosts(
      ["127.0.0.1 localhost Box # this one", "::1\tlocalhost", "10.0.0.7 box box.example", "127.0.0.1 localhost"].join(
        "\n",
      ),
    );
    expect(hosts.get("localhost")).toEqual([
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ]);
    expect(hosts.get("box")).toEqual([
      { address: "127.0.0.1", family: 4 },
      { address: "10.0.0.7", family: 4 },
    ]);
    expect(hosts.get("box.example")).toEqual([{ address: "10.0.0.7", family: 4 }]);
  });

  it("passes over what is no line of it", () => {
    expect(parseHosts("# 10.0.0.1 a\nnonsense b\n10.0.0.2\n").size).toBe(0);
  });
});
