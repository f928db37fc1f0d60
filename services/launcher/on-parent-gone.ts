import type { Clock } from "../platform/process/clock.ts";

const pollMs = 500;

/** Calls back once when the parent process is gone: npm, when it was killed without a word to us. */
export function onParentGone(clock: Clock, parentPid: () => number, callback: () => void): () => void {
  const first = parentPid();
  let cancel = () => {};
  const look = () => {
    if (parentPid() !== first) callback();
    else cancel = clock.after(pollMs, look);
  };
  look();
  return () => cancel();
}
