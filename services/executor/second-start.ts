// A burst on fast targets has gone out by then.
const startMs = 200;

/** Whether the wall clock is within the start of a second, when most of what is due goes out: other work lets it pass. */
export function isSecondStart(wallMs: number): boolean {
  return wallMs % 1_000 < startMs;
}

/** How long until the next middle of a second, when least is due: for what is done once a second and takes some milliseconds. */
export function untilSecondMiddleMs(wallMs: number): number {
  return 1_000 - ((wallMs + 500) % 1_000);
}
