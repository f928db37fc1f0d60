import type { EffectSink, TickerEffect } from "./effects.ts";
import type { Now } from "./now.ts";
import type { Issued, PartitionRun } from "./owned-partition.ts";
import type { TickerSettings } from "./ticker-settings.ts";

type DueEffect = Extract<TickerEffect, { kind: "publish-due" }>;

interface Outstanding {
  run: PartitionRun;
  issued: Issued;
  effect: DueEffect;
}

interface Refused {
  effect: DueEffect;
  atMs: number;
}

// A refusal is the broker's word on this message: asking again at once would not change it.
const retryRefusedMs = 1_000;

/**
 * Publishes what is due, and keeps the due messages that are not acknowledged
 * yet. Their number and bytes are bounded, so that no second is computed ahead of
 * what the broker takes.
 */
export class DueWindow {
  readonly #settings: TickerSettings;
  readonly #runs: ReadonlyMap<number, PartitionRun>;
  readonly #effects: EffectSink;
  readonly #outstanding = new Map<number, Outstanding>();
  #refused: Refused[] = [];
  #bytes = 0;

  constructor(settings: TickerSettings, runs: ReadonlyMap<number, PartitionRun>, effects: EffectSink) {
    this.#settings = settings;
    this.#runs = runs;
    this.#effects = effects;
  }

  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** Publishes all that is due up to the target, as far as there is room. */
  publish(target: number): void {
    while (this.#hasRoom()) {
      const run = this.#earliest(target);
      if (!run) break;
      const issued = run.issue();
      if (issued) this.#publish(run, issued);
    }
    for (const run of this.#runs.values()) run.skipTo(target);
  }

  /** The broker's answer. A refused message stays here, and holds its watermark, until it is stored after all. */
  answered(now: Now, id: number, stored: boolean): void {
    const message = this.#outstanding.get(id);
    if (!message) return;
    const { run, issued, effect } = message;
    if (!stored) {
      this.#refused.push({ effect, atMs: now.monotonicMs });
      const { partition, second } = effect;
      this.#effects.emit({ kind: "notice", notice: { event: "due_publish_refused", partition, second } });
      return;
    }
    this.#outstanding.delete(id);
    this.#bytes -= issued.bytes;
    run.acknowledge(issued.tally);
  }

  /** Publishes again what was refused a while ago. */
  retryRefused(now: Now): void {
    if (this.#refused.length === 0) return;
    const waiting: Refused[] = [];
    for (const refused of this.#refused) {
      if (now.monotonicMs - refused.atMs >= retryRefusedMs) this.#effects.emit(refused.effect);
      else waiting.push(refused);
    }
    this.#refused = waiting;
  }

  #hasRoom(): boolean {
    const { maxOutstanding, maxOutstandingBytes } = this.#settings;
    return this.#outstanding.size < maxOutstanding && this.#bytes < maxOutstandingBytes;
  }

  /** The partition whose next second is the oldest of all. */
  #earliest(target: number): PartitionRun | undefined {
    let earliest: PartitionRun | undefined;
    let earliestSecond = Number.POSITIVE_INFINITY;
    for (const run of this.#runs.values()) {
      const second = run.nextSecond(target);
      if (second === undefined || second >= earliestSecond) continue;
      earliest = run;
      earliestSecond = second;
    }
    return earliest;
  }

  #publish(run: PartitionRun, issued: Issued): void {
    const effect: DueEffect = { kind: "publish-due", id: this.#effects.newId(), ...issued.message };
    this.#outstanding.set(effect.id, { run, issued, effect });
    this.#bytes += issued.bytes;
    this.#effects.emit(effect);
  }
}
