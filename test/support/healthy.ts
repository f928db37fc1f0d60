import { setTimeout as sleep } from "node:timers/promises";
import type { Rig } from "../bench/rig.ts";
import { eventually } from "./rest.ts";

/** Resolves once each second of a span that begins in a while has all the calls of so many jobs, however late. */
export async function allFired(
  rig: Rig,
  { jobs, seconds, inSeconds }: { jobs: number; seconds: number; inSeconds: number },
): Promise<void> {
  const from = Math.floor(Date.now() / 1000) + inSeconds;
  const to = from + seconds - 1;
  await sleep((to + 1) * 1000 - Date.now());
  await eventually(
    () => rig.report(from, to),
    ({ bySecond }) => bySecond.length === seconds && bySecond.every(([, count]) => count === jobs),
  );
}
