import type { Msg, NatsConnection } from "nats";

const encoder = new TextEncoder();
const ackBody = encoder.encode("+ACK");
const nakBody = encoder.encode("-NAK");
const workingBody = encoder.encode("+WPI");
const nanosPerMs = 1_000_000;

/** A message that a durable consumer delivered: whoever gets it answers it, and until then the broker waits. */
export class WorkMessage {
  readonly #nc: NatsConnection;
  readonly #reply: string;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly stream: string;
  /** Its place in the stream. */
  readonly seq: number;
  /** Deliveries so far, with this one. */
  readonly deliveryCount: number;
  /** When the broker stored it, unix nanoseconds, as exactly as a number can say it. */
  readonly storedAtNanos: number;

  /**
   * Reads what the broker says of a delivery in its reply subject:
   * $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<stored at>.<pending>,
   * with domain and account behind ACK, and a token at the end, where it knows domains (NATS ADR-15).
   * Throws when it is no delivery.
   */
  constructor(nc: NatsConnection, message: Msg) {
    const { reply = "" } = message;
    const tokens = reply.split(".");
    if (tokens[0] !== "$JS" || tokens[1] !== "ACK" || tokens.length < 9) throw new Error(`${reply} is no delivery`);
    const at = tokens.length === 9 ? 2 : 4;
    this.#nc = nc;
    this.#reply = reply;
    this.subject = message.subject;
    this.data = message.data;
    this.stream = tokens[at] ?? "";
    this.deliveryCount = Number(tokens[at + 2]);
    this.seq = Number(tokens[at + 3]);
    this.storedAtNanos = Number(tokens[at + 5]);
  }

  get redelivered(): boolean {
    return this.deliveryCount > 1;
  }

  /** Done with: a work queue lets go of it. */
  ack(): void {
    this.#answer(ackBody);
  }

  /** Not done: to be delivered again, after the span. */
  nak(delayMs = 0): void {
    const delay = Math.round(delayMs * nanosPerMs);
    this.#answer(delay > 0 ? encoder.encode(`-NAK {"delay":${delay}}`) : nakBody);
  }

  /** Still in work: the ack wait begins anew. */
  working(): void {
    this.#answer(workingBody);
  }

  /** Never to be delivered again. */
  term(reason: string): void {
    this.#answer(encoder.encode(`+TERM ${reason}`));
  }

  #answer(body: Uint8Array): void {
    // On a closed connection it is for nobody: the message comes again.
    if (!this.#nc.isClosed()) this.#nc.publish(this.#reply, body);
  }
}
