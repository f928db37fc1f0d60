import { describe, expect, it } from "vitest";
import { candidatesOf, parseResolvConf } from "./resolv-conf.ts";

describe("resolv.conf", () => {
  it("names servers, domains and ndots, whatever stands around them", () => {
    const text = [
      "# made by hand",
      "nameserver 10.0.0.2 ; the first",
      "nameserver\t2001:db8::1",
      "nameserver fe80::1%eth0",
      "nameserver 10.0.0.4",
      "nameserver not-an-address",
      "search svc.cluster.local. Cluster.Local",
      "options edns0 ndots:5 timeout:1",
    ].join("\n");
    expect(parseResolvConf(text)).toEqual({
      servers: ["10.0.0.2", "2001:db8::1", "fe80::1%eth0"],
      search: ["svc.cluster.local", "cluster.local"],
      ndots: 5,
    });
  });

  it("that is empty or damaged leaves the defaults", () => {
    const defaults = { servers: [], search: [], ndots: 1 };
    expect(parseResolvConf("")).toEqual(defaults);
    expect(parseResolvConf("nameserver\nsearch\noptions ndots:x\n\u0000")).toEqual(defaults);
    expect(parseResolvConf("options ndots:99").ndots).toBe(15);
  });

  it("takes a server's port along", () => {
    const servers = ["10.0.0.1:5353", "[2001:db8::1]:5353", "[::1]"];
    expect(parseResolvConf(servers.map((server) => `nameserver ${server}`).join("\n")).servers).toEqual(servers);
  });

  it("leaves out a server with a port that there is not", () => {
    const servers = ["10.0.0.1:0", "10.0.0.1:65536", "[2001:db8::1]:99999"];
    expect(parseResolvConf(servers.map((server) => `nameserver ${server}`).join("\n")).servers).toEqual([]);
  });

  it("lets the last of several search lines count", () => {
    expect(parseResolvConf("search a.example\ndomain b.example").search).toEqual(["b.example"]);
  });
});

describe("the candidates of a name", () => {
  const search = ["svc.local", "local"];

  it("are the domains first while it has fewer dots than ndots", () => {
    expect(candidatesOf("web", { search, ndots: 1 })).toEqual(["web.svc.local", "web.local", "web"]);
    expect(candidatesOf("web.prod", { search, ndots: 2 })).toEqual([
      "web.prod.svc.local",
      "web.prod.local",
      "web.prod",
    ]);
  });

  it("begin with the name itself once it has as many", () => {
    expect(candidatesOf("web.prod", { search, ndots: 1 })).toEqual([
      "web.prod",
      "web.prod.svc.local",
      "web.prod.local",
    ]);
  });

  it("are the name alone when a dot ends it", () => {
    expect(candidatesOf("web.", { search, ndots: 5 })).toEqual(["web"]);
  });
});
