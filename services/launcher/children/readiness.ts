import { type Clock, sleep } from "../../platform/process/clock.ts";
import { type Address, formatAddress } from "../../platform/process/environment.ts";

const pollMs = 50;
const tryTimeoutMs = 2_000;

/** Resolves true when the service says on its operators' port that it does its work; false when the signal came first. */
export async function serviceReady(ops: Address, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const url = `http://${formatAddress(ops)}/readyz`;
  while (!signal.aborted) {
    if (await answersOk(url)) return true;
    await sleep(clock, pollMs, signal);
  }
  return false;
}

async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(tryTimeoutMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    // Not listening yet.
    return false;
  }
}
