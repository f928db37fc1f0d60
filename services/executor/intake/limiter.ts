export type Limiter = <T>(task: () => Promise<T>) => Promise<T>;

/** Runs at most `width` tasks at once; the others wait in the order in which they came. */
export function createLimiter(width: number): Limiter {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (task) => {
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await task();
    } finally {
      // The place goes to the next one directly, so that nobody slips in between.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
