import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { startCommand } from "../../../services/launcher/children/external.ts";
import { readLauncherConfig } from "../../../services/launcher/config.ts";
import { startSystem } from "../../support/system.ts";

describe("a service that is left to a developer", () => {
  let byHand: ChildProcess | undefined;
  afterEach(() => {
    if (byHand?.pid !== undefined && byHand.exitCode === null) process.kill(-byHand.pid, "SIGKILL");
    byHand = undefined;
  });

  it("is started by the command that the launcher prints, and outlives the launcher", async () => {
    let output = "";
    let heard = "";
    const system = await startSystem({
      env: { CARILLON_EXTERNAL: "history", CARILLON_API_TOKENS: "t0ken, an'other" },
      onOutput(text) {
        output += text;
        const command = /^ +(env .*history\/main\.ts)$/m.exec(output)?.[1];
        // Not before the launcher says that it waits: it must not call the system running until then.
        if (command === undefined || byHand || !output.includes("waiting_for_external")) return;
        // Any port: another debugger may have the usual one.
        byHand = spawn("sh", ["-c", `exec ${command.replace("--inspect", "--inspect=0")}`], {
          env: { PATH: process.env.PATH },
          detached: true,
          stdio: ["ignore", "pipe", "pipe"],
        });
        for (const stream of [byHand.stdout, byHand.stderr]) stream?.on("data", (chunk) => (heard += chunk));
      },
    });
    try {
      expect(heard).toContain("Debugger listening on");
      expect(() => system.pidOf("history")).toThrow();
      const history = `http://127.0.0.1:${system.addresses.ops.history.port}/readyz`;
      expect((await fetch(history)).status).toBe(200);
      // The front door reaches it with the token that both were given.
      const headers = { authorization: "Bearer t0ken", "content-type": "application/json" };
      const job = JSON.stringify({ schedule: "@hourly", api_endpoint: "http://127.0.0.1:1/", type: "ATLEAST_ONCE" });
      const created = await fetch(`${system.httpUrl}/jobs`, { method: "POST", headers, body: job });
      const { job_id: jobId } = (await created.json()) as { job_id: string };
      expect((await fetch(`${system.httpUrl}/jobs/${jobId}/executions`, { headers })).status).toBe(200);
    } finally {
      expect(await system.stop()).toBe(0);
    }
    expect(byHand?.exitCode).toBeNull();
    const gone = once(byHand as ChildProcess, "exit");
    byHand?.kill("SIGTERM");
    expect((await gone)[0]).toBe(0);
  });

  it("may be any of the four, and nothing else", () => {
    const read = (names: string) => readLauncherConfig({ CARILLON_EXTERNAL: names }, "/").external;
    expect([...read("")]).toEqual([]);
    expect([...read(" history, registry ")]).toEqual(["registry", "history"]);
    expect(() => read("registry,histroy")).toThrow('no service "histroy"; did you mean history?');
    expect(() => read("nats-server")).toThrow('no service "nats-server"');
  });

  it("gets a command that a shell takes apart as it was put together", () => {
    const command = startCommand("ticker", {
      NATS_URL: "nats://127.0.0.1:4222",
      CARILLON_API_TOKENS: "it's $HOME",
      CARILLON_DATA_DIR: "",
      HOME: "/x",
    });
    expect(command).toMatch(
      /^env CARILLON_API_TOKENS='it'\\''s \$HOME' NATS_URL=nats:\/\/127.0.0.1:4222 \S+ --inspect \S+services\/ticker\/main\.ts$/,
    );
  });
});
