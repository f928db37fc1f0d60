import type { TickerEffect } from "../../services/ticker/core/effects.ts";
import type { Now } from "../../services/ticker/core/now.ts";
import { TickerCore } from "../../services/ticker/core/ticker-core.ts";
import type { TickerSettings } from "../../services/ticker/core/ticker-settings.ts";
import { readJobChange } from "../../services/ticker/io/job-change.ts";
import { dueBatchId } from "../../services/wire/due-batch.ts";
import type { SimulatedBroker } from "./broker.ts";
import type { Judge } from "./judge.ts";
import { type Network, SimulatedMachine } from "./machine.ts";
import type { Dice } from "./random.ts";
import type { Timeline } from "./timeline.ts";

const pollMs = 250;

/** A ticker process on its machine: clocks of its own, a connection that breaks, a memory that is lost. */
export class SimulatedTicker extends SimulatedMachine {
  wallOffsetMs: number;
  #core: TickerCore | undefined;
  readonly #monotonicOffsetMs: number;
  /** The entry of each job, as each follower handed it over last. */
  #delivered = new Map<number, Map<string, Uint8Array | undefined>>();
  #followed = new Map<number, Set<number>>();

  readonly #broker: SimulatedBroker;
  readonly #judge: Judge;
  #settings: TickerSettings;

  constructor(
    world: { timeline: Timeline; broker: SimulatedBroker; judge: Judge; dice: Dice; network: Network },
    settings: TickerSettings,
    wallOffsetMs: number,
  ) {
    super(world);
    this.#broker = world.broker;
    this.#judge = world.judge;
    this.#settings = settings;
    this.wallOffsetMs = wallOffsetMs;
    this.#monotonicOffsetMs = world.dice.between(0, 1_000_000);
  }

  get name(): string {
    return this.#settings.ticker;
  }

  /** As a container that is made again: another host name, and nothing that the one before knew. */
  rename(name: string): void {
    if (!this.#core) this.#settings = { ...this.#settings, ticker: name };
  }

  get running(): boolean {
    return this.#core !== undefined;
  }

  start(): void {
    if (this.#core) return;
    this.#core = new TickerCore(this.#settings);
    this.#delivered = new Map();
    this.#followed = new Map();
    this.connect();
    this.#poll();
    this.read(
      this.#broker.claims,
      () => true,
      (partition, claim, sequence) => {
        this.#input((core, now) => core.claimSeen(now, Number(partition), claim, sequence));
      },
      () => this.#input((core, now) => core.claimsComplete(now)),
      (_, another) => another && this.#input((core) => core.claimsReset()),
    );
    this.read(
      this.#broker.ticks,
      () => true,
      (_, tick, sequence) => {
        this.#input((core, now) => core.tickSeen(now, tick, sequence));
      },
      () => this.#input((core, now) => core.ticksComplete(now)),
      (_, another) => another && this.#input((core) => core.ticksReset()),
    );
  }

  crash(): void {
    this.die();
    this.#core = undefined;
  }

  stop(): void {
    this.#input((core, now) => core.stop(now));
    this.mine(3_000, () => this.#input((core, now) => core.giveUp(now)));
    this.mine(5_000, () => this.crash());
  }

  disconnect(): void {
    if (!this.#core || !this.setConnected(false)) return;
    this.#input((core) => core.connectionLost());
  }

  connect(): void {
    if (!this.#core || !this.setConnected(true)) return;
    this.#input((core, now) => core.connectionUp(now));
    this.resendAll();
  }

  #now(): Now {
    const { nowMs } = this.timeline;
    return { wallMs: nowMs + this.wallOffsetMs, monotonicMs: nowMs + this.#monotonicOffsetMs };
  }

  #input(give: (core: TickerCore, now: Now) => void): void {
    if (!this.#core) return;
    give(this.#core, this.#now());
    const { outstanding } = this.#core.status();
    if (outstanding > this.#settings.maxOutstanding) this.#judge.fail(`${outstanding} messages under way`);
    for (const effect of this.#core.takeEffects()) this.#perform(effect);
    if (this.#core.status().stopped) this.crash();
  }

  #poll(): void {
    this.#input((core, now) => core.clock(now));
    const wall = this.#now().wallMs;
    this.mine(Math.min(pollMs, 1_000 - (wall % 1_000)), () => this.#poll());
  }

  #perform(effect: TickerEffect): void {
    const broker = this.#broker;
    switch (effect.kind) {
      case "publish-due": {
        this.#checkEntries(effect);
        this.request(
          () => broker.storeDue({ ...effect, messageId: dueBatchId(effect, effect.contents) }),
          () => this.#input((core, now) => core.duePublished(now, effect.id, true)),
        );
        break;
      }
      case "publish-tick":
        this.request(
          () => broker.storeTick(effect.tick),
          () => this.#input((core, now) => core.tickPublished(now, effect.id, true)),
        );
        break;
      case "write-claim": {
        // The broker recognises a repeat by its message id and answers as before.
        let answer: { revision: number | undefined } | undefined;
        this.request(
          () => {
            if (answer?.revision !== undefined && !this.dice.chance(0.3)) return answer;
            answer = { revision: broker.storeClaim(effect.partition, effect.claim, effect.revision) };
            return answer;
          },
          (stored) => this.#input((core, now) => core.claimWritten(now, effect.id, effect.partition, stored.revision)),
        );
        break;
      }
      case "read-claims":
        this.request(
          () =>
            effect.partitions.map((partition) => {
              const last = broker.claims.last(String(partition));
              return { partition, claim: last?.value, revision: last?.sequence ?? 0 };
            }),
          (claims) => this.#input((core, now) => core.claimsRead(now, effect.id, claims)),
        );
        break;
      case "forget-ticks":
        this.request(
          () => broker.ticks.forget(effect.ticker, effect.sequence),
          () => this.#readLastTick(effect.ticker),
        );
        break;
      case "read-last-tick":
        this.#readLastTick(effect.ticker);
        break;
      case "follow":
        this.#follow(effect.followId, effect.partitions);
        break;
      case "unfollow":
        this.#followed.get(effect.followId)?.delete(effect.partition);
        return;
      case "notice":
        return;
    }
  }

  #readLastTick(ticker: string): void {
    this.request(
      () => this.#broker.ticks.last(ticker),
      (last) => {
        const found = last && { tick: last.value, sequence: last.sequence };
        this.#input((core, now) => core.lastTickRead(now, ticker, found));
      },
    );
  }

  #follow(followId: number, partitions: number[]): void {
    const wanted = new Set(partitions.map(String));
    const followed = new Set(partitions);
    this.#followed.set(followId, followed);
    const delivered = new Map<string, Uint8Array | undefined>();
    this.#delivered.set(followId, delivered);
    this.read(
      this.#broker.jobs,
      (key) => wanted.has(key.slice(0, key.indexOf("."))),
      (key, event, sequence) => {
        const partition = Number(key.slice(0, key.indexOf(".")));
        if (!followed.has(partition)) return;
        const jobId = key.slice(key.indexOf(".") + 1);
        const read = readJobChange(jobId, event, sequence);
        if (!read.ok) {
          this.#judge.fail(`${jobId} at ${sequence} cannot be read: ${read.reason}`);
          return;
        }
        const { change } = read;
        delivered.set(jobId, change.kind === "active" ? change.entry : undefined);
        this.#input((core, now) => core.jobChanged(now, followId, partition, sequence, change));
      },
      () => this.#input((core, now) => core.jobsComplete(now, followId)),
      (createdMs) => this.#input((core, now) => core.jobsOpened(now, followId, createdMs)),
    );
  }

  /** What a job became after the ticker had seen otherwise must not go out any more. */
  #checkEntries(effect: Extract<TickerEffect, { kind: "publish-due" }>): void {
    for (const entry of effect.entries) {
      const { jobId } = this.#judge.entry(entry);
      let current = false;
      for (const [followId, partitions] of this.#followed) {
        if (partitions.has(effect.partition) && this.#delivered.get(followId)?.get(jobId) === entry) current = true;
      }
      if (!current) this.#judge.fail(`${jobId} went out in a state that ${this.name} knew was over`);
    }
  }
}
