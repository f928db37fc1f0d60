import type { Clock } from "../platform/clock.ts";

const pollMs = 500;

/**
 * Calls back once when the parent process is gone. npm passes SIGTERM on to the
 * shell that stands between it and us, and that shell dies of it without a word.
 */
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
