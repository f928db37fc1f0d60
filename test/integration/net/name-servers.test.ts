import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createNameServers, type NameServersOptions } from "../../../services/platform/net/name-servers.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { type NameServer, startNameServer, zoneOf } from "../../support/name-server.ts";
import { removeDir, tempDir } from "../../support/registry.ts";

describe("what name servers say", () => {
  let server: NameServer;
  let dir: string;

  beforeEach(async () => {
    dir = await tempDir();
    server = await startNameServer(
      zoneOf(
        {
          "web.example": "10.0.0.1",
          "six.example": "2001:db8::6",
          "api.svc.local": "10.0.0.2",
          "api.local": "10.0.0.3",
        },
        (name) => name.startsWith("mute"),
      ),
    );
    await writeFile(join(dir, "hosts"), "10.9.9.9 box.example\n");
    await writeFile(join(dir, "resolv.conf"), "search svc.local local\noptions ndots:1\n");
  });
  afterEach(async () => {
    await server.stop();
    await removeDir(dir);
  });

  const nameServers = (options: NameServersOptions = {}) =>
    createNameServers(
      { clock: systemClock },
      {
        servers: [server.address],
        hostsPath: join(dir, "hosts"),
        resolvConfPath: join(dir, "resolv.conf"),
        timeoutMs: 100,
        ...options,
      },
    );

  it("is the addresses of both kinds, with the shortest time to live", async () => {
    expect(await nameServers().ask("web.example")).toEqual({
      kind: "addresses",
      addresses: [{ address: "10.0.0.1", family: 4 }],
      ttlSeconds: 60,
    });
    server.zone = ({ type, name }) =>
      type === "A"
        ? [{ type, name, ttl: 30, data: "10.0.0.1" }]
        : [{ type: "AAAA", name, ttl: 20, data: "2001:db8::1" }];
    // Whether the second kind is in it depends on which comes first; that the first is does not.
    expect(await nameServers().ask("web.example")).toMatchObject({
      kind: "addresses",
      addresses: expect.arrayContaining([{ address: "10.0.0.1", family: 4 }]),
    });
    expect(await nameServers().ask("six.example")).toMatchObject({ kind: "addresses" });
  });

  it("is an address of the first kind, also while nothing is said of the second", async () => {
    server.zone = ({ type, name }) => (type === "A" ? [{ type, name, ttl: 30, data: "10.0.0.1" }] : "silence");
    expect(await nameServers({ timeoutMs: 60_000 }).ask("web.example")).toMatchObject({
      kind: "addresses",
      ttlSeconds: 30,
    });
  });

  it("is found in the domains of resolv.conf, in their order", async () => {
    expect(await nameServers().ask("api")).toMatchObject({ addresses: [{ address: "10.0.0.2", family: 4 }] });
    expect(server.questions.every((question) => question.endsWith("api.svc.local"))).toBe(true);
  });

  it("is none where no candidate exists, and silence where nobody answers", async () => {
    expect(await nameServers().ask("gone.example")).toEqual({ kind: "none", code: "ENOTFOUND" });
    expect(server.questions).toContain("A gone.example.local");
    expect(await nameServers().ask("mute.example")).toEqual({ kind: "silent", code: "ETIMEOUT" });
  });

  it("is silence where no server listens", async () => {
    await server.stop();
    expect(await nameServers().ask("web.example")).toMatchObject({ kind: "silent" });
    server = await startNameServer(() => "silence");
  });

  it("is asked of the servers that resolv.conf names by now", async () => {
    const next = await startNameServer(zoneOf({ "web.example": "10.0.0.99" }));
    let shiftMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + shiftMs };
    const path = join(dir, "resolv.conf");
    await writeFile(path, `nameserver ${server.address}\n`);
    const { ask } = createNameServers({ clock }, { resolvConfPath: path });
    expect(await ask("web.example")).toMatchObject({ addresses: [{ address: "10.0.0.1" }] });
    await writeFile(path, `nameserver ${next.address}\n`);
    shiftMs = 1_000;
    expect(await ask("web.example")).toMatchObject({ addresses: [{ address: "10.0.0.99" }] });
    await next.stop();
  });

  it("is not asked for what the machine itself knows", async () => {
    const asked = nameServers();
    expect(await asked.local("box.example")).toEqual([{ address: "10.9.9.9", family: 4 }]);
    expect(await asked.local("localhost")).toEqual([
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ]);
    expect(await asked.local("a.localhost.")).toHaveLength(2);
    expect(await asked.local("web.example")).toEqual([]);
    expect(server.questions).toEqual([]);
  });
});
