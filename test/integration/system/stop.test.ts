import { expect, it } from "vitest";
import { restClient } from "../../support/rest.ts";
import { startSystem } from "../../support/system.ts";
import { startTarget } from "../../support/target.ts";

it("stops in order while a call hangs: nothing of it has to be killed", async () => {
  const target = await startTarget();
  target.on("/", { hang: true });
  const system = await startSystem();
  await restClient(system.httpUrl).post("/jobs", {
    schedule: "* * * * * *",
    api_endpoint: target.url("/"),
    type: "ATLEAST_ONCE",
  });
  await target.until(() => target.arrivals("/").length >= 2);
  expect(await system.stop()).toBe(0);
  expect(system.logs()).not.toContain("child_killed");
  await target.stop();
});
