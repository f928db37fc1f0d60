import type { Position } from "../../../domain/identity/position.ts";

/*
 * Positions of one job in few bytes, newest first: for each how many seconds it lies before the one before it (the first
 * in full), times two and one more when a run follows, as a varint; then the length of the run and its text. An occurrence of a
 * job that is due every minute takes one byte. Files have lists of this form: another one comes with a migration.
 */

export function packPositions(positions: readonly Position[]): Buffer {
  const bytes: number[] = [];
  let last = 0;
  for (const [i, { second, run }] of positions.entries()) {
    const distance = i === 0 ? second : last - second;
    pushVarint(bytes, distance * 2 + (run === "" ? 0 : 1));
    last = second;
    if (run === "") continue;
    const text = Buffer.from(run);
    pushVarint(bytes, text.length);
    bytes.push(...text);
  }
  return Buffer.from(bytes);
}

export function* unpackPositions(bytes: Buffer): Generator<Position> {
  let at = 0;
  const readVarint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  let second: number | undefined;
  while (at < bytes.length) {
    const head = readVarint();
    const distance = Math.floor(head / 2);
    second = second === undefined ? distance : second - distance;
    if (head % 2 === 0) {
      yield { second, run: "" };
      continue;
    }
    const end = readVarint() + at;
    yield { second, run: bytes.toString("utf8", at, end) };
    at = end;
  }
}

// Numbers go up to twice a second: more than the 32 bits that bit operations have.
function pushVarint(bytes: number[], value: number): void {
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  bytes.push(left);
}
