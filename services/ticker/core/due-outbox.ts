import type { Batch } from "./batch.ts";
import type { Now, TickerEffect, TickerSettings } from "./model.ts";
import type { PartitionRun, Unit } from "./partition-run.ts";

type DueEffect = Extract<TickerEffect, { kind: "publish-due" }>;

interface Outstanding {
  run: PartitionRun;
  unit: Unit;
  bytes: number;
  effect: DueEffect;
}

// A refusal is the broker's word on this message: asking again at once would not change it.
const retryRefusedMs = 1_000;

/** The due messages without an acknowledgement: bounded, so that seconds are not computed ahead of what the broker takes. */
export class DueOutbox {
  readonly #settings: TickerSettings;
  readonly #messages = new Map<number, Outstanding>();
  #refused: { message: Outstanding; atMs: number }[] = [];
  #bytes = 0;

  constructor(settings: TickerSettings) {
    this.#settings = settings;
  }

  get outstanding(): number {
    return this.#messages.size;
  }

  hasRoom(): boolean {
    return this.#messages.size < this.#settings.maxOutstanding && this.#bytes < this.#settings.maxOutstandingBytes;
  }

  add(id: number, run: PartitionRun, issued: { batch: Batch; unit: Unit }): DueEffect {
    const { batch, unit } = issued;
    const effect: DueEffect = {
      kind: "publish-due",
      id,
      partition: run.partition,
      epoch: run.epoch,
      second: batch.second,
      mayRepeat: run.mayRepeat(batch.second),
      entries: batch.entries,
      messageId: `${run.partition}-${batch.contents}`,
    };
    this.#messages.set(id, { run, unit, bytes: batch.bytes, effect });
    this.#bytes += batch.bytes;
    return effect;
  }

  /** Takes the broker's answer; tells which message was refused. */
  answered(now: Now, id: number, stored: boolean): { partition: number; second: number } | undefined {
    const message = this.#messages.get(id);
    if (!message) return undefined;
    if (!stored) {
      // It stays outstanding: the watermark waits until it is stored after all.
      this.#refused.push({ message, atMs: now.monotonicMs });
      return { partition: message.effect.partition, second: message.effect.second };
    }
    this.#messages.delete(id);
    this.#bytes -= message.bytes;
    message.run.acknowledge(message.unit);
    return undefined;
  }

  /** What was refused a while ago, to be published again. */
  refusedBefore(now: Now): DueEffect[] {
    if (this.#refused.length === 0) return [];
    const ripe = this.#refused.filter(({ atMs }) => now.monotonicMs - atMs >= retryRefusedMs);
    this.#refused = this.#refused.filter(({ atMs }) => now.monotonicMs - atMs < retryRefusedMs);
    return ripe.map(({ message }) => message.effect);
  }
}
