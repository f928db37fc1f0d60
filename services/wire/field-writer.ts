import { BinaryWriter } from "@bufbuild/protobuf/wire";

/** Tag of field `number` with wire type 0 (varint). */
export const varintTag = (number: number) => number << 3;
/** Tag of field `number` with wire type 2 (length-delimited). */
export const bytesTag = (number: number) => (number << 3) | 2;

/**
 * Writes a message field by field, with protobuf's own BinaryWriter. As proto3
 * has it, a field without presence is left out where it holds its default.
 */
export class FieldWriter {
  #writer = new BinaryWriter();

  string(field: number, value: string): void {
    if (value !== "") this.#writer.uint32(bytesTag(field)).string(value);
  }

  bytes(field: number, value: Uint8Array): void {
    if (value.length > 0) this.item(field, value);
  }

  uint32(field: number, value: number): void {
    if (value !== 0) this.#writer.uint32(varintTag(field)).uint32(value);
  }

  enum(field: number, value: number): void {
    if (value !== 0) this.#writer.uint32(varintTag(field)).int32(value);
  }

  bool(field: number, value: boolean): void {
    if (value) this.#writer.uint32(varintTag(field)).bool(value);
  }

  int64(field: number, value: number): void {
    if (value !== 0) this.#writer.uint32(varintTag(field)).int64(value);
  }

  /** A field that is declared optional: 0 is written. */
  optionalInt64(field: number, value: number | undefined): void {
    if (value !== undefined) this.#writer.uint32(varintTag(field)).int64(value);
  }

  uint64(field: number, value: number): void {
    if (value !== 0) this.#writer.uint32(varintTag(field)).uint64(value);
  }

  /** A message that is serialised already, or one of repeated bytes: written when it is empty, too. */
  item(field: number, value: Uint8Array): void {
    this.#writer.uint32(bytesTag(field)).bytes(value);
  }

  /** A message within this one; written when it is empty, too. */
  message(field: number, fill: () => void): void {
    this.#writer.uint32(bytesTag(field)).fork();
    fill();
    this.#writer.join();
  }

  map(field: number, entries: Readonly<Record<string, string>>): void {
    for (const [key, value] of Object.entries(entries)) {
      const writer = this.#writer.uint32(bytesTag(field)).fork();
      writer.uint32(bytesTag(1)).string(key).uint32(bytesTag(2)).string(value).join();
    }
  }

  finish(): Uint8Array {
    return this.#writer.finish();
  }
}

// One for all messages, because it keeps its buffer: a new one grows from 128 bytes, copying.
let shared = new FieldWriter();

/** The bytes of a message that `fill` writes, a buffer of their own. Throws when a value does not fit its field. */
export function writeMessage(fill: (fields: FieldWriter) => void): Uint8Array {
  try {
    fill(shared);
    return shared.finish();
  } catch (error) {
    // What was begun must not stand in front of the next message.
    shared = new FieldWriter();
    throw error;
  }
}
