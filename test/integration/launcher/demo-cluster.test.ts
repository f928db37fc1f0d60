import { join } from "node:path";
import { expect, it } from "vitest";
import { repositoryDir } from "../../support/nats.ts";
import { runProgram } from "../../support/service-process.ts";

const main = join(repositoryDir, "services/launcher/demo/cluster/main.ts");

it.each([
  [[]],
  [["registry:8080"]],
  [["http://registry:8080", "demo", "port"]],
])("the demo of the cluster says what it expects when it is started with %j", async (args) => {
  const { code, stderr } = await runProgram([main, ...args]).ended;
  expect(code).toBe(2);
  expect(stderr).toContain("expected three arguments: the registry's URL, this host's name, a port");
});

it("the demo of the cluster waits for a registry that is not there yet, and ends when it is told to", async () => {
  const demo = runProgram([main, "http://127.0.0.1:9", "localhost", "0"]);
  await new Promise<void>((resolve) =>
    demo.child.stdout?.on("data", (text) => String(text).includes("not now") && resolve()),
  );
  demo.kill("SIGTERM");
  expect((await demo.ended).code).toBe(0);
});
