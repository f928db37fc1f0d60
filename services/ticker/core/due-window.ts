import type { EffectSink, TickerEffect } from "./effects.ts";
import type { Now } from "./now.ts";
import type { Issued, OwnedPartition } from "./owned-partition.ts";
import type { TickerSettings } from "./ticker-settings.ts";

type DueEffect = Extract<TickerEffect, { kind: "publish-due" }>;

interface Outstanding {
  holding: OwnedPartition;
  issued: Issued;
  effect: DueEffect;
}

interface Refused {
  message: Outstanding;
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
  readonly #owned: ReadonlyMap<number, OwnedPartition>;
  readonly #effects: EffectSink;
  readonly #outstanding = new Map<number, Outstanding>();
  #refused: Refused[] = [];
  #bytes = 0;

  constructor(settings: TickerSettings, owned: ReadonlyMap<number, OwnedPartition>, effects: EffectSink) {
    this.#settings = settings;
    this.#owned = owned;
    this.#effects = effects;
  }

  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** Publishes all that is due up to the target, as far as there is room. */
  publish(target: number): void {
    while (this.#hasRoom()) {
      const holding = this.#earliest(target);
      if (!holding) break;
      const issued = holding.issue();
      if (issued) this.#publish(holding, issued);
    }
    for (const holding of this.#owned.values()) holding.skipTo(target);
  }

  /** The broker's answer. A refused message stays here, and holds its watermark, until it is stored after all. */
  answered(now: Now, id: number, stored: boolean): void {
    const message = this.#outstanding.get(id);
    if (!message) return;
    const { holding, issued, effect } = message;
    if (!stored) {
      this.#refused.push({ message, atMs: now.monotonicMs });
      const { partition, second } = effect;
      this.#effects.emit({ kind: "notice", notice: { event: "due_publish_refused", partition, second } });
      return;
    }
    this.#drop(message);
    holding.acknowledge(issued.tally);
  }

  /** Publishes again what was refused a while ago. */
  retryRefused(now: Now): void {
    if (this.#refused.length === 0) return;
    const waiting: Refused[] = [];
    for (const refused of this.#refused) {
      const { message, atMs } = refused;
      // The partition is lost, and its next owner publishes the second.
      if (this.#owned.get(message.effect.partition) !== message.holding) this.#drop(message);
      else if (now.monotonicMs - atMs >= retryRefusedMs) this.#effects.emit(message.effect);
      else waiting.push(refused);
    }
    this.#refused = waiting;
  }

  #drop({ effect, issued }: Outstanding): void {
    this.#outstanding.delete(effect.id);
    this.#bytes -= issued.bytes;
  }

  #hasRoom(): boolean {
    const { maxOutstanding, maxOutstandingBytes } = this.#settings;
    return this.#outstanding.size < maxOutstanding && this.#bytes < maxOutstandingBytes;
  }

  /** The partition whose next second is the oldest of all. */
  #earliest(target: number): OwnedPartition | undefined {
    let earliest: OwnedPartition | undefined;
    let earliestSecond = Number.POSITIVE_INFINITY;
    for (const holding of this.#owned.values()) {
      const second = holding.nextSecond(target);
      if (second === undefined || second >= earliestSecond) continue;
      earliest = holding;
      earliestSecond = second;
    }
    return earliest;
  }

  #publish(holding: OwnedPartition, issued: Issued): void {
    const effect: DueEffect = { kind: "publish-due", id: this.#effects.newId(), ...issued.message };
    this.#outstanding.set(effect.id, { holding, issued, effect });
    this.#bytes += issued.bytes;
    this.#effects.emit(effect);
  }
}
