/** Crockford's base32 in lower case: it sorts as the numbers do, and has no i, l, o, u. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const timeChars = 10;
const randomChars = 16;

export interface IdDeps {
  nowMs(): number;
  /** Uniform in [0, 1). */
  random(): number;
}

/**
 * Makes job ids: ULIDs (github.com/ulid/spec) in lower case, 26 characters,
 * strictly increasing within a process, also when the clock stands or goes back.
 */
export function createJobIds({ nowMs, random }: IdDeps): () => string {
  let lastMs = 0;
  let time = "";
  let unique = "";
  return () => {
    const now = nowMs();
    if (now > lastMs) {
      lastMs = now;
      time = encodeTime(now);
      unique = randomBase32(random, randomChars);
    } else {
      unique = successor(unique);
    }
    return time + unique;
  };
}

export function isJobId(text: string): boolean {
  return /^[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(text);
}

/** Lower-case letters and digits, 5 bits each. */
export function randomBase32(random: () => number, chars: number): string {
  let text = "";
  for (let i = 0; i < chars; i++) text += alphabet.charAt(Math.floor(random() * 32));
  return text;
}

function encodeTime(ms: number): string {
  let text = "";
  for (let rest = ms, i = 0; i < timeChars; i++, rest = Math.floor(rest / 32)) text = alphabet.charAt(rest % 32) + text;
  return text;
}

/** The next number in base 32. It wraps after 2^80 ids of one millisecond, which never come. */
function successor(text: string): string {
  const kept = text.replace(/z+$/, "");
  const next = alphabet.charAt(alphabet.indexOf(kept.charAt(kept.length - 1)) + 1);
  return kept.slice(0, -1) + next + "0".repeat(text.length - kept.length);
}
