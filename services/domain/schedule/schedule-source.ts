import { type CronPattern, parseCron } from "./cron-pattern.ts";
import { parseInstant } from "./instant.ts";
import { nextOnGrid, parseInterval } from "./interval.ts";
import { nextInZone } from "./zone-cron.ts";
import type { ZoneTable } from "./zone-table.ts";

/** Occurrences without bounds and memory. */
export interface Source {
  readonly kind: "cron" | "interval" | "once";
  readonly key: string;
  next(after: number): number | undefined;
}

export function parseSource(
  text: string,
  zone: ZoneTable | { readonly reason: string },
  options: { readonly jobId: string; readonly anchorSecond: number; readonly startSecond?: number | undefined },
): Source | string {
  const [head = "", ...rest] = text.split(/\s+/);
  const argument = rest.join(" ");
  switch (head.toLowerCase()) {
    case "@every": {
      const seconds = parseInterval(argument);
      if (typeof seconds === "string") return seconds;
      return new IntervalSource(seconds, options.startSecond ?? options.anchorSecond);
    }
    case "@at": {
      const at = parseInstant(argument);
      return typeof at === "string" ? at : new OnceSource(at);
    }
    default: {
      const pattern = parseCron(text, options.jobId);
      if (typeof pattern === "string") return pattern;
      // A bad zone is refused by the caller; until then the pattern stands without one.
      return "reason" in zone || zone.isUtc ? new UtcSource(pattern) : new ZonedSource(pattern, zone);
    }
  }
}

class IntervalSource implements Source {
  readonly kind = "interval";
  readonly #seconds: number;
  readonly #phase: number;

  constructor(seconds: number, anchor: number) {
    this.#seconds = seconds;
    // Jobs made at different times share a schedule when their grids are the same.
    this.#phase = ((anchor % seconds) + seconds) % seconds;
  }

  get key(): string {
    return `${this.#seconds}s + ${this.#phase}`;
  }

  next(after: number): number {
    return nextOnGrid(this.#seconds, this.#phase, after);
  }
}

class OnceSource implements Source {
  readonly kind = "once";
  readonly #at: number;

  constructor(at: number) {
    this.#at = at;
  }

  get key(): string {
    return String(this.#at);
  }

  next(after: number): number | undefined {
    return this.#at > after ? this.#at : undefined;
  }
}

class UtcSource implements Source {
  readonly kind = "cron";
  readonly pattern: CronPattern;

  constructor(pattern: CronPattern) {
    this.pattern = pattern;
  }

  get key(): string {
    return `${this.pattern.key} UTC`;
  }

  next(after: number): number | undefined {
    return this.pattern.nextWall(after);
  }
}

class ZonedSource implements Source {
  readonly kind = "cron";
  readonly pattern: CronPattern;
  readonly zone: ZoneTable;

  constructor(pattern: CronPattern, zone: ZoneTable) {
    this.pattern = pattern;
    this.zone = zone;
  }

  get key(): string {
    const meaning = this.pattern.keepsCadence ? "cadence" : "fixed";
    return `${this.pattern.key} ${this.zone.name} ${meaning}`;
  }

  next(after: number): number | undefined {
    return nextInZone(this.pattern, this.zone, after);
  }
}
