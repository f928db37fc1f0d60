import type { PartitionClaim } from "../../services/wire/partition-claim.ts";
import type { Tick } from "../../services/wire/tick.ts";
import type { Judge } from "./judge.ts";
import type { DueMessage } from "./model.ts";

interface Entry<T> {
  sequence: number;
  key: string;
  value: T;
  /** A later message of the same key has replaced it. */
  replaced: boolean;
}

/** A stream that keeps the last message of each key. */
export class CompactedLog<T> {
  lastSequence = 0;
  /** Counts the streams that this log was so far. */
  era = 0;
  createdMs = Number.NEGATIVE_INFINITY;
  #entries: Entry<T>[] = [];
  readonly #lastOf = new Map<string, Entry<T>>();
  readonly #watchers = new Set<() => void>();

  append(key: string, value: T): number {
    const entry = { sequence: ++this.lastSequence, key, value, replaced: false };
    const before = this.#lastOf.get(key);
    if (before) before.replaced = true;
    this.#lastOf.set(key, entry);
    this.#entries.push(entry);
    for (const watcher of this.#watchers) watcher();
    return entry.sequence;
  }

  /** It was deleted or lost, and stands again with nothing in it. */
  replace(nowMs: number): void {
    this.era++;
    this.createdMs = nowMs;
    this.lastSequence = 0;
    this.#entries = [];
    this.#lastOf.clear();
    for (const watcher of this.#watchers) watcher();
  }

  /** Removes what there is of a key up to a sequence. */
  forget(key: string, upTo: number): void {
    const last = this.#lastOf.get(key);
    if (!last || last.sequence > upTo) return;
    last.replaced = true;
    this.#lastOf.delete(key);
  }

  keys(): string[] {
    return [...this.#lastOf.keys()];
  }

  last(key: string): Entry<T> | undefined {
    return this.#lastOf.get(key);
  }

  /** What a reader at this place gets, and whether it is then at the end. */
  read(after: number, wanted: (key: string) => boolean, limit: number): { entries: Entry<T>[]; atEnd: boolean } {
    const found: Entry<T>[] = [];
    for (let at = after; at < this.#entries.length; at++) {
      const entry = this.#entries[at] as Entry<T>;
      if (entry.replaced || !wanted(entry.key)) continue;
      if (found.length === limit) return { entries: found, atEnd: false };
      found.push(entry);
    }
    return { entries: found, atEnd: true };
  }

  watch(callback: () => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }
}

/** The streams, as far as tickers see them. */
export class SimulatedBroker {
  /** Serialised events. */
  readonly jobs = new CompactedLog<Uint8Array>();
  readonly ticks = new CompactedLog<Tick>();
  readonly claims = new CompactedLog<PartitionClaim>();
  readonly #storedIds = new Map<string, string>();
  readonly judge: Judge;
  /** Told of each message that DUE takes. */
  onDue: (message: DueMessage) => void = () => undefined;

  constructor(judge: Judge) {
    this.judge = judge;
  }

  /** What a broker may do that restarts: repeats are no longer recognised. */
  forgetMessageIds(): void {
    this.#storedIds.clear();
  }

  storeDue(message: DueMessage): void {
    const contents = this.judge.describe(message);
    const stored = this.#storedIds.get(message.messageId);
    if (stored !== undefined) {
      if (stored !== contents) this.judge.fail(`${message.messageId} names two contents: ${stored} and ${contents}`);
      return;
    }
    this.#storedIds.set(message.messageId, contents);
    this.judge.stored(message);
    this.onDue(message);
  }

  storeTick(tick: Tick): void {
    const before = this.ticks.last(tick.ticker)?.value.partitions ?? [];
    for (const { partition, epoch, watermark } of tick.partitions) {
      this.judge.watermark(partition, watermark, tick.ticker);
      const last = before.find((other) => other.partition === partition && other.epoch === epoch)?.watermark;
      if (last && (watermark?.second ?? 0) < last.second && !this.judge.clocksStepped && this.claims.era === 0)
        this.judge.fail(`${tick.ticker} went back behind ${last.second}`);
    }
    this.ticks.append(tick.ticker, tick);
  }

  /** Compare-and-set; undefined when it is refused. */
  storeClaim(partition: number, claim: PartitionClaim, revision: number): number | undefined {
    const key = String(partition);
    if ((this.claims.last(key)?.sequence ?? 0) !== revision) return undefined;
    this.judge.watermark(partition, claim.watermark, claim.owner || "nobody");
    return this.claims.append(key, claim);
  }
}
