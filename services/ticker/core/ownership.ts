import type { PartitionClaim } from "../../wire/partition-claim.ts";
import type { Tick } from "../../wire/tick.ts";
import type { Watermark } from "../../wire/watermark.ts";
import type { Now } from "./now.ts";
import { aheadToleratedSeconds, type TickerSettings } from "./ticker-settings.ts";

export interface KnownClaim {
  claim: PartitionClaim | undefined;
  revision: number;
}

interface Peer {
  /** The last one in the stream, also from before this ticker's start. */
  tick: Tick | undefined;
  sequence: number;
  /** When a tick arrived last, as it was published; undefined when none did yet. */
  seenMs: number | undefined;
  /** The stream itself was asked and has no later tick. */
  verified: boolean;
  askedMs: number;
}

/** What this ticker is to do about a partition, or to ask before it does. */
export type OwnershipMove =
  | { kind: "take"; partition: number; epoch: number; revision: number; from: string; watermark: Watermark | undefined }
  | { kind: "give-back"; partition: number }
  | { kind: "ask"; ticker: string };

/** What this ticker has. */
export interface HeldPartitions {
  owned: readonly number[];
  /** Those of them that it is giving back. */
  releasing: ReadonlySet<number>;
  /** Those that it has claimed without an answer yet. */
  pending: ReadonlySet<number>;
}

/** The last tick of a ticker that is gone: it is in the stream under this sequence, and nobody needs it. */
export interface LeftOver {
  ticker: string;
  sequence: number;
}

const askAgainMs = 1_000;
const lookForLeftOversMs = 5_000;

/** Knows who owns what and who is alive, and decides what this ticker takes over and gives back. */
export class Ownership {
  readonly #settings: TickerSettings;
  readonly #claims = new Map<number, KnownClaim>();
  readonly #peers = new Map<string, Peer>();
  readonly #freeSince = new Map<number, number>();
  /** Silence counts from here: nobody watched before. */
  #watchingSinceMs: number | undefined;
  #lookedForLeftOversMs = Number.NEGATIVE_INFINITY;

  constructor(settings: TickerSettings) {
    this.#settings = settings;
  }

  watch(now: Now): void {
    this.#watchingSinceMs = now.monotonicMs;
    this.#freeSince.clear();
    for (const peer of this.#peers.values()) peer.verified = false;
  }

  unwatch(): void {
    this.#watchingSinceMs = undefined;
  }

  /** The claims are in another stream from now on, whose revisions begin again. */
  forgetClaims(): void {
    this.#claims.clear();
    this.#freeSince.clear();
  }

  /** The ticks are in another stream from now on. What they said stays true, and so does who was heard when. */
  forgetTickSequences(): void {
    for (const peer of this.#peers.values()) {
      peer.sequence = 0;
      peer.verified = false;
    }
  }

  claimOf(partition: number): KnownClaim {
    return this.#claims.get(partition) ?? { claim: undefined, revision: 0 };
  }

  /** Takes a claim. One that is older than the known one is ignored, unless it was read just now (`fresh`). */
  learnClaim(partition: number, known: KnownClaim, fresh: boolean): boolean {
    const before = this.#claims.get(partition);
    if (before && known.revision <= before.revision && !fresh) return false;
    this.#claims.set(partition, known);
    if (known.claim?.owner) this.#freeSince.delete(partition);
    return true;
  }

  /** Takes a tick of any ticker, also an own one of an earlier life. A `replayed` one is no sign of life. */
  learnTick(now: Now, tick: Tick, sequence: number, replayed: boolean): void {
    const peer = this.#peer(tick.ticker);
    if (sequence <= peer.sequence) return;
    peer.tick = tick;
    peer.sequence = sequence;
    peer.verified = false;
    if (!replayed) peer.seenMs = now.monotonicMs;
  }

  /** Takes the last tick in the stream of a ticker that seems dead. */
  verify(now: Now, ticker: string, last: { tick: Tick; sequence: number } | undefined): void {
    const peer = this.#peer(ticker);
    if (last && last.sequence > peer.sequence) this.learnTick(now, last.tick, last.sequence, false);
    else if (last === undefined && this.#isLeftOver(now, ticker, peer)) this.#peers.delete(ticker);
    else peer.verified = true;
  }

  /**
   * What tickers that are gone have left in the stream of ticks, and nobody can need any more: looked for every few
   * seconds. A later tick of such a ticker, should it come back, lies behind the sequence.
   */
  leftOvers(now: Now): LeftOver[] {
    if (now.monotonicMs - this.#lookedForLeftOversMs < lookForLeftOversMs) return [];
    this.#lookedForLeftOversMs = now.monotonicMs;
    const found: LeftOver[] = [];
    for (const [ticker, peer] of this.#peers) {
      if (!this.#isLeftOver(now, ticker, peer)) continue;
      if (peer.tick) found.push({ ticker, sequence: peer.sequence });
      else this.#peers.delete(ticker);
    }
    return found;
  }

  /**
   * Whether the ticks of a ticker may go. It was silent for long, and each partition has another owner, alive, with a
   * watermark that is at least as new: whoever takes a partition over goes by the ticks of the owner in the claim alone.
   * Epochs say nothing here, since those of lost claims begin again.
   */
  #isLeftOver(now: Now, ticker: string, peer: Peer): boolean {
    if (ticker === this.#settings.ticker || !this.#silent(now, peer, this.#settings.forgetAfterMs)) return false;
    const last = new Map(peer.tick?.partitions.map((tick) => [tick.partition, tick]));
    for (let partition = 0; partition < this.#settings.partitions; partition++) {
      const { claim } = this.claimOf(partition);
      // A claim in its own name is one of somebody silent as well.
      if (!claim?.owner || this.#silent(now, this.#peer(claim.owner))) return false;
      const left = last.get(partition);
      if (!left) continue;
      const watermark = laterWatermark(claim.watermark, this.#tickedWatermark(claim.owner, partition));
      if (!isAtLeast(watermark, left.watermark)) return false;
    }
    return true;
  }

  /** Tickers that want partitions, this one included. */
  liveCount(now: Now): number {
    let live = 1;
    for (const [ticker, peer] of this.#peers) {
      if (ticker === this.#settings.ticker || peer.seenMs === undefined || !peer.tick?.live) continue;
      if (!this.#silent(now, peer)) live++;
    }
    return live;
  }

  /** Partitions that an earlier life of this ticker owned and this one has not taken back. */
  leftBehind(held: Iterable<number>): number[] {
    const known = new Set(held);
    const left: number[] = [];
    for (const [partition, { claim }] of this.#claims) {
      if (claim?.owner === this.#settings.ticker && !known.has(partition)) left.push(partition);
    }
    return left;
  }

  /** The moves that this ticker is to make, given what it has. */
  moves(now: Now, has: HeldPartitions): OwnershipMove[] {
    if (this.#watchingSinceMs === undefined) return [];
    const { ticker, partitions } = this.#settings;
    const moves: OwnershipMove[] = [];
    const held = new Set([...has.owned, ...has.pending]);
    let count = held.size - has.releasing.size;
    for (const partition of this.leftBehind(held)) {
      moves.push(this.#take(now, partition, ticker));
      count++;
    }
    const share = Math.ceil(partitions / this.liveCount(now));
    for (const partition of has.owned.toReversed()) {
      if (count <= share) break;
      if (has.releasing.has(partition)) continue;
      moves.push({ kind: "give-back", partition });
      count--;
    }
    const asked = new Set<string>();
    for (let partition = 0; partition < partitions; partition++) {
      if (held.has(partition)) continue;
      const owner = this.claimOf(partition).claim?.owner ?? "";
      if (owner === ticker) continue;
      if (owner === "") {
        if (count >= share && !this.#leftLying(now, partition)) continue;
        moves.push(this.#take(now, partition, ""));
        count++;
        continue;
      }
      const peer = this.#peer(owner);
      if (count >= share || !this.#silent(now, peer)) continue;
      if (peer.verified) {
        moves.push(this.#take(now, partition, owner));
        count++;
      } else if (!asked.has(owner) && now.monotonicMs - peer.askedMs >= askAgainMs) {
        peer.askedMs = now.monotonicMs;
        asked.add(owner);
        moves.push({ kind: "ask", ticker: owner });
      }
    }
    return moves;
  }

  #take(now: Now, partition: number, from: string): OwnershipMove {
    const { claim, revision } = this.claimOf(partition);
    const ticked = from === "" ? undefined : this.#tickedWatermark(from, partition);
    return {
      kind: "take",
      partition,
      epoch: (claim?.epoch ?? 0) + 1,
      revision,
      from,
      watermark: this.#later(now, claim?.watermark, ticked),
    };
  }

  /** The later one of two watermarks, unless a clock that ran ahead wrote that one and not the other. */
  #later(now: Now, claimed: Watermark | undefined, ticked: Watermark | undefined): Watermark | undefined {
    const latest = (now.wallMs + this.#settings.leadMs) / 1000 + aheadToleratedSeconds;
    if (claimed && ticked && claimed.second > latest !== ticked.second > latest)
      return claimed.second > latest ? ticked : claimed;
    return laterWatermark(claimed, ticked);
  }

  #tickedWatermark(ticker: string, partition: number): Watermark | undefined {
    return this.#peers.get(ticker)?.tick?.partitions.find((tick) => tick.partition === partition)?.watermark;
  }

  /** Whether a partition has been free for so long that any ticker may take it, beyond its share as well. */
  #leftLying(now: Now, partition: number): boolean {
    const since = this.#freeSince.get(partition);
    if (since !== undefined) return now.monotonicMs - since >= this.#settings.deadAfterMs;
    this.#freeSince.set(partition, now.monotonicMs);
    return false;
  }

  #silent(now: Now, peer: Peer, forMs = this.#settings.deadAfterMs): boolean {
    const since = Math.max(peer.seenMs ?? Number.NEGATIVE_INFINITY, this.#watchingSinceMs ?? now.monotonicMs);
    return now.monotonicMs - since >= forMs;
  }

  #peer(ticker: string): Peer {
    let peer = this.#peers.get(ticker);
    if (!peer) {
      peer = { tick: undefined, sequence: 0, seenMs: undefined, verified: false, askedMs: Number.NEGATIVE_INFINITY };
      this.#peers.set(ticker, peer);
    }
    return peer;
  }
}

function isAtLeast(a: Watermark | undefined, b: Watermark | undefined): boolean {
  return b === undefined || (a !== undefined && laterWatermark(a, b) === a);
}

/** The later one of two watermarks, the first where they are the same. */
function laterWatermark(a: Watermark | undefined, b: Watermark | undefined): Watermark | undefined {
  if (!a || !b) return a ?? b;
  if (a.second !== b.second) return a.second > b.second ? a : b;
  return a.jobsSequence >= b.jobsSequence ? a : b;
}
