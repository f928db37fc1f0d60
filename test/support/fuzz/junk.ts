import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import type { Dice } from "../../simulation/random.ts";

// What clients send that err, and those that mean harm.

const texts = [
  "",
  " ",
  "x".repeat(300),
  "ü".repeat(250),
  "\u0000",
  "a\u0000b",
  "\ud800",
  "🎉",
  "../../etc/passwd",
  "%00%2f%zz",
  "null",
  "__proto__",
  "1e999",
  "-1",
  "9999-12-31T23:59:59Z",
  "0001-01-01T00:00:00Z",
  "2026-13-45T99:99:99Z",
  "@every 1s",
  "@every -1s",
  "@at yesterday",
  "*/0 * * * * *",
  "* * * * * * * *",
  "0 0 31 2 *",
  "H(99-1) * * * *",
  "http://[::1",
  "http://user:pw@host/",
  "javascript:alert(1)",
  "file:///etc/passwd",
  "ATLEAST_TWICE",
  "Mars/Olympus",
  "315576000001s",
  "-0.0000000001s",
  "NaN",
];
const numbers = [0, -0, -1, 1, 1.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 1e21, 1e308, 5e-324, 1_000_000];
const names = [
  "job_id",
  "jobId",
  "schedule",
  "api_endpoint",
  "apiEndpoint",
  "type",
  "labels",
  "http",
  "retry",
  "max_attempts",
  "page_size",
  "page_token",
  "update_mask",
  "etag",
  "execution_ids",
  "requests",
  "job",
  "__proto__",
  "constructor",
  "toString",
  "",
  "a.b.c",
  "ключ",
];

/** More than any request may have. */
const bomb = gzipSync(Buffer.alloc(40 * 1024 * 1024));

export function junkText(dice: Dice): string {
  // Now and then one that no head has room for.
  return dice.chance(0.01) ? "ü".repeat(3_000) : dice.pick(texts);
}

function junkName(dice: Dice): string {
  return dice.pick(names);
}

/** Any JSON value, now and then a deep or a wide one. */
export function junkValue(dice: Dice, depth = 0): unknown {
  const kind = dice.between(0, depth > 3 ? 4 : 7);
  switch (kind) {
    case 0:
      return null;
    case 1:
      return dice.chance(0.5);
    case 2:
      return dice.pick(numbers);
    case 3:
    case 4:
      return junkText(dice);
    case 5:
      return Array.from({ length: dice.between(0, 4) }, () => junkValue(dice, depth + 1));
    case 6:
      return Array.from({ length: 1_500 }, (_, i) => i);
    default:
      return Object.fromEntries(
        Array.from({ length: dice.between(0, 4) }, () => [junkName(dice), junkValue(dice, depth + 1)]),
      );
  }
}

/** The value with some of it put otherwise, anywhere in it. */
export function mutated(value: unknown, dice: Dice): unknown {
  if (dice.chance(0.2)) return junkValue(dice);
  if (Array.isArray(value)) return value.map((item) => (dice.chance(0.5) ? mutated(item, dice) : item));
  if (typeof value !== "object" || value === null) return dice.chance(0.5) ? junkValue(dice) : value;
  const entries = Object.entries(value).map(([key, item]) => [
    dice.chance(0.05) ? junkName(dice) : key,
    dice.chance(0.3) ? mutated(item, dice) : item,
  ]);
  if (dice.chance(0.2)) entries.push([junkName(dice), junkValue(dice)]);
  return Object.fromEntries(entries.filter(() => !dice.chance(0.05)));
}

/** JSON text of a value, at times broken in one of the ways in which it can be. */
export function junkJson(value: unknown, dice: Dice): Buffer {
  const text = JSON.stringify(value) ?? "";
  if (dice.chance(0.6)) return Buffer.from(text);
  switch (dice.between(0, 14)) {
    case 0:
      return Buffer.from(text.slice(0, dice.between(0, text.length)));
    case 1: {
      const depth = dice.pick([90, 110, 5_000, 100_000]);
      return Buffer.from(`${"[".repeat(depth)}${"]".repeat(depth)}`);
    }
    case 2: {
      const depth = dice.pick([90, 110, 20_000]);
      return Buffer.from(`${'{"job":'.repeat(depth)}1${"}".repeat(depth)}`);
    }
    case 3:
      return Buffer.from(text.replace("{", '{"schedule":"@daily","schedule":"@hourly",'));
    case 4:
      return Buffer.from(`\ufeff${text}`);
    case 5:
      return Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0xfe, 0x80])]);
    case 6:
      return Buffer.from(`${text}${text}`);
    case 7:
      return Buffer.from(text.replaceAll('"', "'"));
    case 8:
      return Buffer.from(text.replace(/\d+/, "0".repeat(50_000)));
    case 9:
      return junkBytes(dice);
    case 10:
      return Buffer.alloc(0);
    default:
      return Buffer.from(text);
  }
}

export function junkBytes(dice: Dice): Buffer {
  return Buffer.from(Array.from({ length: dice.between(0, 200) }, () => dice.between(0, 255)));
}

/** The bytes with some of them flipped, cut or doubled. */
export function flipped(bytes: Uint8Array, dice: Dice): Buffer {
  const copy = Buffer.from(bytes);
  for (let i = 0; i < dice.between(0, 4) && copy.length > 0; i++)
    copy[dice.between(0, copy.length - 1)] = dice.between(0, 255);
  if (dice.chance(0.2)) return copy.subarray(0, dice.between(0, copy.length));
  return dice.chance(0.1) ? Buffer.concat([copy, copy]) : copy;
}

/** A body, and what its Content-Encoding says of it, which may not be true. */
export function encoded(body: Buffer, dice: Dice): { body: Buffer; encoding: string | undefined } {
  switch (dice.between(0, 12)) {
    case 0:
      return { body: gzipSync(body), encoding: "gzip" };
    case 1:
      return { body: brotliCompressSync(body), encoding: "br" };
    case 2:
      return { body, encoding: "gzip" };
    case 3:
      return { body: flipped(gzipSync(body), dice), encoding: "gzip" };
    case 4:
      return { body: deflateSync(body), encoding: dice.pick(["deflate", "zstd", "gzip, gzip", "\u00ff"]) };
    case 5:
      return { body: bomb, encoding: "gzip" };
    default:
      return { body, encoding: undefined };
  }
}
