import type { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";

/** An AttemptResult, as this process holds it. */
export interface AttemptRecord {
  executionId: string;
  jobId: string;
  second: number;
  attempt: number;
  status: ExecutionStatus;
  final: boolean;
  sentAtMs: number;
  durationMs: number;
  httpStatus: number;
  reason: string;
  message: string;
  trigger: ExecutionTrigger;
}

// What a record takes at most beside its texts: tags, lengths and varints.
const fixedBytes = 96;
const initialBytes = 32 * 1024;

/** Tag of field `number` with wire type 0 (varint) or 2 (length-delimited). */
const varintTag = (number: number) => number << 3;
const bytesTag = (number: number) => (number << 3) | 2;

/**
 * Writes AttemptResults one after the other as a ResultBatch. By hand, because
 * each execution passes here: 0.6 µs a record instead of the 6 µs of create()
 * and toBinary(). Its test reads it back with the generated code.
 */
export class ResultBatchWriter {
  #buffer = Buffer.allocUnsafe(initialBytes);
  #at = 0;

  bytes(): number {
    return this.#at;
  }

  add(record: AttemptRecord): void {
    // A UTF-8 character takes at most three bytes for each UTF-16 unit.
    const textUnits = record.executionId.length + record.jobId.length + record.reason.length + record.message.length;
    this.#reserve(fixedBytes + textUnits * 3);
    this.#buffer[this.#at++] = bytesTag(1);
    // The record's length stands before it in two bytes, written when it is known.
    const lengthAt = this.#at;
    this.#at += 2;
    this.#ascii(1, record.executionId);
    this.#ascii(2, record.jobId);
    this.#varint(3, record.second);
    this.#varint(4, record.attempt);
    this.#varint(5, record.status);
    this.#varint(6, record.final ? 1 : 0);
    this.#varint(7, record.sentAtMs);
    this.#varint(8, record.durationMs);
    this.#varint(9, record.httpStatus);
    if (record.reason !== "") this.#ascii(10, record.reason);
    if (record.message !== "") this.#text(11, record.message);
    this.#varint(12, record.trigger);
    const length = this.#at - lengthAt - 2;
    this.#buffer[lengthAt] = (length & 0x7f) | 0x80;
    this.#buffer[lengthAt + 1] = length >>> 7;
  }

  /** The batch so far; the writer is empty afterwards. */
  take(): Uint8Array {
    const batch = this.#buffer.subarray(0, this.#at);
    this.#buffer = Buffer.allocUnsafe(initialBytes);
    this.#at = 0;
    return batch;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    larger.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = larger;
  }

  #ascii(field: number, text: string): void {
    // Ids and reasons are short: their length fits one byte.
    if (text.length > 0x7f) {
      this.#text(field, text);
      return;
    }
    this.#buffer[this.#at++] = bytesTag(field);
    this.#buffer[this.#at++] = text.length;
    this.#at += this.#buffer.write(text, this.#at, "latin1");
  }

  #text(field: number, text: string): void {
    const bytes = Buffer.from(text);
    this.#buffer[this.#at++] = bytesTag(field);
    this.#rawVarint(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #varint(field: number, value: number): void {
    if (value <= 0) return;
    this.#buffer[this.#at++] = varintTag(field);
    this.#rawVarint(value);
  }

  #rawVarint(value: number): void {
    let rest = value;
    // Past 32 bits the bit operators no longer serve.
    while (rest > 0x7fff_ffff) {
      this.#buffer[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    for (; rest > 0x7f; rest >>>= 7) this.#buffer[this.#at++] = (rest & 0x7f) | 0x80;
    this.#buffer[this.#at++] = rest;
  }
}
