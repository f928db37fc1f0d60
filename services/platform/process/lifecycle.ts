/** Every part of a service: both calls are idempotent, and stop may come during start. */
export interface Startable {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts parts in order and stops them in reverse: list them so that what takes
 * work in comes last. A part that fails to start stops those before it.
 */
export function startInOrder(parts: readonly Startable[]): Startable {
  let started: Startable[] = [];
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    const errors: unknown[] = [];
    for (const part of started.toReversed()) await part.stop().catch((error) => errors.push(error));
    started = [];
    if (errors.length > 0) throw new AggregateError(errors, "stopping failed");
  };
  return {
    start() {
      starting ??= (async () => {
        for (const part of parts) {
          if (stopping) return;
          started.push(part);
          try {
            await part.start();
          } catch (error) {
            await stop().catch(() => undefined);
            throw error;
          }
        }
      })();
      return starting;
    },
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}
