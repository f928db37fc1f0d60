import { v7 } from "uuid";

export interface JobIdDeps {
  /** Wall clock, unix milliseconds. */
  nowMs(): number;
  /** Uniform in [0, 1). */
  random(): number;
}

/** uuid reads the last six of these bytes; the time and the counter fill the others. */
const randomBytes = 16;
const firstRandomByte = 10;
const counterValues = 2 ** 32;
// The highest bit begins unset, so that a counter has room for two billion ids (RFC 9562, section 6.2, method 1).
const highestFirstCounter = 2 ** 31;

/**
 * Makes job ids: UUIDs of version 7 (RFC 9562) in lower case. They increase
 * strictly within a process, also when the clock stands or goes back, so that
 * the order of ids is the order of creation.
 */
export function createJobIds({ nowMs, random }: JobIdDeps): () => string {
  const bytes = new Uint8Array(randomBytes);
  let lastMs = 0;
  let counter = 0;
  return () => {
    const now = nowMs();
    if (now > lastMs) {
      lastMs = now;
      counter = Math.floor(random() * highestFirstCounter);
    } else if (++counter === counterValues) {
      lastMs++;
      counter = 0;
    }
    for (let at = firstRandomByte; at < randomBytes; at++) bytes[at] = random() * 256;
    return v7({ msecs: lastMs, seq: counter, random: bytes });
  };
}

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Whether a text is a job id as this module writes it. */
export function isJobId(text: string): boolean {
  return shape.test(text);
}
