/**
 * A live ticker's word on the id that it goes by. It is said, never stored: that another one has the id matters while both
 * live. One line of text, since nobody but tickers reads it.
 */
export interface TickerPresence {
  /** One start of one ticker. */
  run: string;
  /** When it began, by its own clock, unix milliseconds. */
  sinceMs: number;
  /** Where it runs, for whoever has to find it. */
  host: string;
}

const pattern = /^([a-z0-9]{1,32}) (\d{1,15}) (\S{1,255})$/;

export function writeTickerPresence({ run, sinceMs, host }: TickerPresence): string {
  return `${run} ${sinceMs} ${host.replaceAll(/\s/g, "-").slice(0, 255) || "-"}`;
}

/** Undefined when the text is no presence. */
export function readTickerPresence(text: string): TickerPresence | undefined {
  const [, run, since, host] = pattern.exec(text) ?? [];
  if (run === undefined || host === undefined) return undefined;
  return { run, sinceMs: Number(since), host };
}
