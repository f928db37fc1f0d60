import { TickerCore } from "../../services/domain/ticker-core.ts";
import type { Now, TickerEffect, TickerSettings } from "../../services/domain/ticker-model.ts";
import type { CompactedLog, SimulatedBroker } from "./broker.ts";
import type { Dice } from "./random.ts";
import type { Timeline } from "./timeline.ts";
import type { Verdict } from "./verdict.ts";

export interface Network {
  /** One way, milliseconds. */
  usualMs: number;
  worstMs: number;
  /** Messages that get lost although the connection stands. */
  loss: number;
}

const resendMs = 1_000;
const pollMs = 250;

interface Request {
  send: () => void;
}

/** A ticker process on its machine: clocks of its own, a connection that breaks, a memory that is lost. */
export class SimulatedTicker {
  readonly name: string;
  wallOffsetMs: number;
  private core: TickerCore | undefined;
  /** Counts lives; what belongs to an earlier one comes to nothing. */
  private life = 0;
  private connection = 0;
  private connected = false;
  private suspendedUntilMs = 0;
  private readonly monotonicOffsetMs: number;
  private requests = new Set<Request>();
  private readonly lastArrivalMs = { there: 0, back: 0 };
  /** What each follower handed over last, by job. */
  private delivered = new Map<number, Map<string, Uint8Array>>();
  private followed = new Map<number, Set<number>>();

  private readonly timeline: Timeline;
  private readonly broker: SimulatedBroker;
  private readonly verdict: Verdict;
  private readonly dice: Dice;
  private readonly network: Network;
  private readonly settings: TickerSettings;

  constructor(
    world: { timeline: Timeline; broker: SimulatedBroker; verdict: Verdict; dice: Dice; network: Network },
    settings: TickerSettings,
    wallOffsetMs: number,
  ) {
    this.timeline = world.timeline;
    this.broker = world.broker;
    this.verdict = world.verdict;
    this.dice = world.dice;
    this.network = world.network;
    this.settings = settings;
    this.name = settings.ticker;
    this.wallOffsetMs = wallOffsetMs;
    this.monotonicOffsetMs = world.dice.between(0, 1_000_000);
  }

  get running(): boolean {
    return this.core !== undefined;
  }

  start(): void {
    if (this.core) return;
    this.core = new TickerCore(this.settings);
    this.requests = new Set();
    this.delivered = new Map();
    this.followed = new Map();
    this.connect();
    this.poll();
    this.read(
      this.broker.claims,
      () => true,
      (partition, claim, sequence) => {
        this.input((core, now) => core.claimSeen(now, Number(partition), claim, sequence));
      },
      (core, now) => core.claimsComplete(now),
    );
    this.read(
      this.broker.ticks,
      () => true,
      (_, tick, sequence) => {
        this.input((core, now) => core.tickSeen(now, tick, sequence));
      },
      (core, now) => core.ticksComplete(now),
    );
  }

  crash(): void {
    this.life++;
    this.core = undefined;
    this.connected = false;
    this.connection++;
  }

  stop(): void {
    this.input((core, now) => core.stop(now));
    this.mine(3_000, () => this.input((core, now) => core.giveUp(now)));
    this.mine(5_000, () => this.crash());
  }

  /** The process stands still and wakes up without having noticed. */
  suspend(ms: number): void {
    this.suspendedUntilMs = this.timeline.nowMs + ms;
  }

  disconnect(): void {
    if (!this.core || !this.connected) return;
    this.connected = false;
    this.connection++;
    this.input((core) => core.connectionLost());
  }

  connect(): void {
    if (!this.core || this.connected) return;
    this.connected = true;
    this.connection++;
    this.input((core, now) => core.connectionUp(now));
    for (const request of this.requests) request.send();
  }

  private now(): Now {
    const { nowMs } = this.timeline;
    return { wallMs: nowMs + this.wallOffsetMs, monotonicMs: nowMs + this.monotonicOffsetMs };
  }

  private input(give: (core: TickerCore, now: Now) => void): void {
    if (!this.core) return;
    give(this.core, this.now());
    const { outstanding } = this.core.status();
    if (outstanding > this.settings.maxOutstanding) this.verdict.fail(`${outstanding} messages under way`);
    for (const effect of this.core.takeEffects()) this.perform(effect);
    if (this.core.status().stopped) this.crash();
  }

  /** Runs in this process, later: never after its death, and not while it is suspended. */
  private mine(delayMs: number, run: () => void): void {
    const { life } = this;
    const attempt = () => {
      if (this.life !== life) return;
      if (this.timeline.nowMs < this.suspendedUntilMs) this.timeline.at(this.suspendedUntilMs, attempt);
      else run();
    };
    this.timeline.after(delayMs, attempt);
  }

  private poll(): void {
    this.input((core, now) => core.clock(now));
    const wall = this.now().wallMs;
    this.mine(Math.min(pollMs, 1_000 - (wall % 1_000)), () => this.poll());
  }

  private perform(effect: TickerEffect): void {
    const { broker } = this;
    switch (effect.kind) {
      case "publish-due": {
        this.checkEntries(effect);
        return this.request(
          () => broker.storeDue(effect),
          () => this.input((core, now) => core.duePublished(now, effect.id, true)),
        );
      }
      case "publish-tick":
        return this.request(
          () => broker.storeTick(effect.tick),
          () => this.input((core, now) => core.tickPublished(now, effect.id, true)),
        );
      case "write-claim": {
        // The broker recognises a repeat by its message id and answers as before.
        let answer: { revision: number | undefined } | undefined;
        return this.request(
          () => {
            if (answer?.revision !== undefined && !this.dice.chance(0.3)) return answer;
            answer = { revision: broker.storeClaim(effect.partition, effect.claim, effect.revision) };
            return answer;
          },
          (stored) => this.input((core, now) => core.claimWritten(now, effect.id, effect.partition, stored.revision)),
        );
      }
      case "read-claims":
        return this.request(
          () =>
            effect.partitions.map((partition) => {
              const last = broker.claims.last(String(partition));
              return { partition, claim: last?.value, revision: last?.sequence ?? 0 };
            }),
          (claims) => this.input((core, now) => core.claimsRead(now, effect.id, claims)),
        );
      case "read-last-tick":
        return this.request(
          () => broker.ticks.last(effect.ticker),
          (last) => {
            const found = last && { tick: last.value, sequence: last.sequence };
            this.input((core, now) => core.lastTickRead(now, effect.ticker, found));
          },
        );
      case "follow":
        return this.follow(effect.followId, effect.partitions);
      case "unfollow":
        this.followed.get(effect.followId)?.delete(effect.partition);
        return;
      case "notice":
        return;
    }
  }

  private follow(followId: number, partitions: number[]): void {
    const wanted = new Set(partitions.map(String));
    const followed = new Set(partitions);
    this.followed.set(followId, followed);
    const delivered = new Map<string, Uint8Array>();
    this.delivered.set(followId, delivered);
    this.read(
      this.broker.jobs,
      (key) => wanted.has(key.slice(0, key.indexOf("."))),
      (_, { version, timingSequence }, sequence) => {
        const { timing, generation, entry } = version;
        const { jobId, partition, effectiveFromMs, occurrences } = timing;
        if (!followed.has(partition)) return;
        delivered.set(jobId, entry);
        this.input((core, now) =>
          core.jobChanged(
            now,
            followId,
            partition,
            sequence,
            timing.active
              ? {
                  kind: "active",
                  jobId,
                  entry,
                  generation,
                  timingGeneration: timing.generation,
                  effectiveFromMs,
                  timingSequence,
                  occurrences,
                }
              : { kind: "gone", jobId },
          ),
        );
      },
      (core, now) => core.jobsComplete(now, followId),
    );
  }

  /** What a job became after the ticker had seen otherwise must not go out any more. */
  private checkEntries(effect: Extract<TickerEffect, { kind: "publish-due" }>): void {
    for (const entry of effect.entries) {
      const { timing } = this.verdict.version(entry);
      let current = false;
      for (const [followId, partitions] of this.followed) {
        if (partitions.has(effect.partition) && this.delivered.get(followId)?.get(timing.jobId) === entry)
          current = true;
      }
      if (!current || !timing.active)
        this.verdict.fail(`${timing.jobId} went out in a state that ${this.name} knew was over`);
    }
  }

  /** Reads a stream from its state on, in pieces, keeping its place over lost connections. */
  private read<T>(
    log: CompactedLog<T>,
    wanted: (key: string) => boolean,
    onEntry: (key: string, value: T, sequence: number) => void,
    onEnd: (core: TickerCore, now: Now) => void,
  ): void {
    const { life } = this;
    let place = 0;
    let told = false;
    let under = false;
    const next = () => {
      if (this.life !== life) return unwatch();
      if (under) return;
      under = true;
      const { connection } = this;
      const again = () => {
        under = false;
        next();
      };
      if (!this.connected) return this.mine(50, again);
      this.transfer("there", () => {
        const { entries, atEnd } = log.read(place, wanted, this.dice.between(1, 4));
        if (entries.length === 0 && told) {
          under = false;
          // What was appended while this request was on its way was read by it.
          return;
        }
        this.transfer("back", () => {
          if (this.life !== life) return;
          if (this.connection === connection) {
            for (const entry of entries) {
              place = entry.sequence;
              onEntry(entry.key, entry.value, entry.sequence);
            }
            if (atEnd) {
              told = true;
              this.input(onEnd);
            }
          }
          again();
        });
      });
    };
    const unwatch = log.watch(next);
    next();
  }

  /** Asks the broker until there is an answer. */
  private request<T>(atBroker: () => T, onAnswer: (answer: T) => void): void {
    const { life } = this;
    let answered = false;
    const request: Request = {
      send: () => {
        if (!this.connected || this.life !== life) return;
        const { connection } = this;
        if (this.dice.chance(this.network.loss)) return;
        this.transfer("there", () => {
          // What was written before the connection broke may still arrive.
          if (this.connection !== connection && this.dice.chance(0.5)) return;
          const answer = atBroker();
          if (this.connection !== connection || this.dice.chance(this.network.loss)) return;
          this.transfer("back", () => {
            if (this.life !== life || this.connection !== connection || answered) return;
            this.mine(0, () => {
              if (answered) return;
              answered = true;
              this.requests.delete(request);
              onAnswer(answer);
            });
          });
        });
      },
    };
    this.requests.add(request);
    request.send();
    const resend = () => {
      if (answered) return;
      request.send();
      this.mine(resendMs, resend);
    };
    this.mine(resendMs, resend);
  }

  /** In order, as on a wire. */
  private transfer(direction: "there" | "back", run: () => void): void {
    const { usualMs, worstMs } = this.network;
    const delayMs = this.dice.chance(0.03) ? this.dice.between(0, worstMs) : this.dice.between(0, usualMs);
    this.lastArrivalMs[direction] = Math.max(this.lastArrivalMs[direction], this.timeline.nowMs + delayMs);
    this.timeline.at(this.lastArrivalMs[direction], run);
  }
}
