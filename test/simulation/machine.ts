import type { CompactedLog } from "./broker.ts";
import type { Dice } from "./random.ts";
import type { Timeline } from "./timeline.ts";

export interface Network {
  /** One way, milliseconds. */
  usualMs: number;
  worstMs: number;
  /** Messages that get lost although the connection stands. */
  loss: number;
}

const resendMs = 1_000;

interface Request {
  send: () => void;
}

/** A process on a machine of its own: it dies and stands still, and its connection to the broker breaks. */
export class SimulatedMachine {
  protected readonly timeline: Timeline;
  protected readonly dice: Dice;
  readonly #network: Network;
  /** Counts lives; what belongs to an earlier one comes to nothing. */
  #life = 0;
  #connection = 0;
  #connected = false;
  #suspendedUntilMs = 0;
  #requests = new Set<Request>();
  readonly #lastArrivalMs = { there: 0, back: 0 };

  constructor(world: { timeline: Timeline; dice: Dice; network: Network }) {
    this.timeline = world.timeline;
    this.dice = world.dice;
    this.#network = world.network;
  }

  /** The process stands still and wakes up without having noticed. */
  suspend(ms: number): void {
    this.#suspendedUntilMs = this.timeline.nowMs + ms;
  }

  /** Whether the connection is another one than before. */
  protected setConnected(connected: boolean): boolean {
    if (this.#connected === connected) return false;
    this.#connected = connected;
    this.#connection++;
    return true;
  }

  /** What was under way goes out again, as a client does that has reconnected. */
  protected resendAll(): void {
    for (const request of this.#requests) request.send();
  }

  protected die(): void {
    this.#life++;
    this.#requests = new Set();
    this.setConnected(false);
  }

  /** Runs in this process, later: never after its death, and not while it is suspended. */
  protected mine(delayMs: number, run: () => void): void {
    const life = this.#life;
    const whenAwake = () => {
      if (this.#life !== life) return;
      if (this.timeline.nowMs < this.#suspendedUntilMs) this.timeline.at(this.#suspendedUntilMs, whenAwake);
      else run();
    };
    this.timeline.after(delayMs, whenAwake);
  }

  /** Reads a stream from its state on, in pieces, keeping its place over lost connections. */
  protected read<T>(
    log: CompactedLog<T>,
    wanted: (key: string) => boolean,
    onEntry: (key: string, value: T, sequence: number) => void,
    onEnd: () => void,
    onStream: (createdMs: number, another: boolean) => void,
  ): void {
    const life = this.#life;
    let era: number | undefined;
    let place = 0;
    let told = false;
    let under = false;
    const next = () => {
      if (this.#life !== life) {
        unwatch();
        return;
      }
      if (under) return;
      under = true;
      const connection = this.#connection;
      const again = () => {
        under = false;
        next();
      };
      if (!this.#connected) {
        this.mine(50, again);
        return;
      }
      this.#transfer("there", () => {
        const { era: found, createdMs } = log;
        const { entries, atEnd } = log.read(era === found ? place : 0, wanted, this.dice.between(1, 4));
        if (entries.length === 0 && told && era === found) {
          under = false;
          // What was appended while this request was on its way was read by it.
          return;
        }
        this.#transfer("back", () => {
          this.mine(0, () => {
            if (this.#connection === connection) {
              if (era !== found) {
                onStream(createdMs, era !== undefined);
                era = found;
                place = 0;
                told = false;
              }
              for (const entry of entries) {
                place = entry.sequence;
                onEntry(entry.key, entry.value, entry.sequence);
              }
              if (atEnd) {
                told = true;
                onEnd();
              }
            }
            again();
          });
        });
      });
    };
    const unwatch = log.watch(next);
    next();
  }

  /** Asks the broker until there is an answer. */
  protected request<T>(atBroker: () => T, onAnswer: (answer: T) => void): void {
    const life = this.#life;
    let answered = false;
    const request: Request = {
      send: () => {
        if (!this.#connected || this.#life !== life) return;
        const connection = this.#connection;
        if (this.dice.chance(this.#network.loss)) return;
        this.#transfer("there", () => {
          // What was written before the connection broke may still arrive.
          if (this.#connection !== connection && this.dice.chance(0.5)) return;
          const answer = atBroker();
          if (this.#connection !== connection || this.dice.chance(this.#network.loss)) return;
          this.#transfer("back", () => {
            if (this.#life !== life || this.#connection !== connection || answered) return;
            this.mine(0, () => {
              if (answered) return;
              answered = true;
              this.#requests.delete(request);
              onAnswer(answer);
            });
          });
        });
      },
    };
    this.#requests.add(request);
    request.send();
    const resend = () => {
      if (answered) return;
      request.send();
      this.mine(resendMs, resend);
    };
    this.mine(resendMs, resend);
  }

  /** In order, as on a wire. */
  #transfer(direction: "there" | "back", run: () => void): void {
    const { usualMs, worstMs } = this.#network;
    const delayMs = this.dice.chance(0.03) ? this.dice.between(0, worstMs) : this.dice.between(0, usualMs);
    this.#lastArrivalMs[direction] = Math.max(this.#lastArrivalMs[direction], this.timeline.nowMs + delayMs);
    this.timeline.at(this.#lastArrivalMs[direction], run);
  }
}
