import type { PublishReport } from "../../platform/jetstream/publisher.ts";

type Stored = Extract<PublishReport, { kind: "stored" }>;

/**
 * Notices, by the sequences of its acknowledgements, that DUE is another stream:
 * what is sent after an acknowledgement gets a higher sequence in the same one.
 */
export class DuePlace {
  #highest = 0;

  /** The highest sequence so far, to be kept with what is sent now. */
  get highest(): number {
    return this.#highest;
  }

  /** Takes an acknowledgement. Tells whether DUE is another stream since the message went out. */
  stored({ sequence, duplicate }: Stored, highestBefore: number): boolean {
    // A repeat is answered with the sequence of the first time.
    if (duplicate) return false;
    // Not when another answer has told already.
    const replaced = sequence <= highestBefore && highestBefore <= this.#highest;
    this.#highest = replaced ? sequence : Math.max(this.#highest, sequence);
    return replaced;
  }
}
