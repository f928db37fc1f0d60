import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { executionIdAt } from "../../services/domain/identity/position.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import type { Watermark } from "../../services/wire/watermark.ts";
import { createDice, type Dice } from "../simulation/random.ts";

/** The seeds of a test that tries random values. */
export const seeds = Array.from({ length: 200 }, (_, seed) => seed);

// Lengths on both sides of varints of one, two and three bytes.
const lengths = [0, 1, 2, 31, 32, 33, 42, 43, 126, 127, 128, 300, 5_461, 5_462, 16_383, 16_384, 70_000];

/** What fields may hold: nothing, little, and the most; ordinary values in between. */
export class WireValues {
  readonly dice: Dice;

  constructor(seed: number) {
    this.dice = createDice(seed);
  }

  text(): string {
    if (this.dice.chance(0.6)) return this.dice.pick(["", "a", "HTTP_STATUS", "größer", "\u0000", "\ufeffé€😀", "{}"]);
    return this.dice.pick(["x", "é", "€", "😀"]).repeat(this.dice.pick(lengths));
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.dice.pick(lengths)).fill(this.dice.between(0, 255));
  }

  uint32(): number {
    return this.dice.pick([
      0,
      1,
      127,
      128,
      16_383,
      16_384,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 32 - 1,
      this.dice.between(0, 1e6),
    ]);
  }

  uint64(): number {
    return this.dice.pick([0, 1, 127, 128, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 35 - 1, 2 ** 35, Number.MAX_SAFE_INTEGER]);
  }

  /** A unix second, also one past 2038 and the greatest that is taken. */
  second(): number {
    return this.dice.pick([0, 1, 127, 1_764_000_000, 2 ** 31, 2 ** 32, 1e12 - 1, this.dice.between(0, 1e12 - 1)]);
  }

  instantMs(): number {
    return this.dice.pick([0, 127, 1_764_000_000_003, 2 ** 41 + 5, 1e15 - 1_000, this.dice.between(0, 1e15 - 1_000)]);
  }

  bool(): boolean {
    return this.dice.chance(0.5);
  }

  list<T>(item: () => T): T[] {
    return Array.from({ length: this.dice.pick([0, 1, 2, 7]) }, item);
  }

  jobId(): string {
    const hex = (digits: number) =>
      this.dice
        .between(0, 16 ** digits - 1)
        .toString(16)
        .padStart(digits, "0");
    return `${hex(8)}-${hex(4)}-7${hex(3)}-8${hex(3)}-${hex(6)}${hex(6)}`;
  }

  executionId(): string {
    return executionIdAt(this.jobId(), { second: this.second(), run: this.#run() });
  }

  watermark(): Watermark | undefined {
    return this.dice.chance(0.3) ? undefined : { second: this.second() || 1, jobsSequence: this.uint64() };
  }

  result(): AttemptResult {
    const { SUCCESS, FAILED, SKIPPED_PAUSED, SKIPPED_SUPERSEDED, RUNNING } = ExecutionStatus;
    const kind = this.dice.pick(["made", "made", "made", "skipped", "waits"] as const);
    const status = this.dice.pick(
      { made: [SUCCESS, FAILED], skipped: [SKIPPED_PAUSED, SKIPPED_SUPERSEDED], waits: [RUNNING] }[kind],
    );
    const final = kind === "skipped" || (kind === "made" && this.bool());
    return {
      jobId: this.jobId(),
      second: this.second(),
      run: this.#run(),
      attempt: kind === "made" ? this.uint32() || 1 : 0,
      status,
      final,
      sentAtMs: this.instantMs(),
      durationMs: this.uint32(),
      httpStatus: this.uint32(),
      reason: this.#resultText(),
      message: this.#resultText(),
      trigger: this.dice.pick([ExecutionTrigger.UNSPECIFIED, ExecutionTrigger.SCHEDULE, ExecutionTrigger.MANUAL]),
      retryAtMs: status === FAILED && !final ? this.instantMs() : 0,
    };
  }

  #run(): string {
    return this.dice.chance(0.2) ? `m${this.dice.pick(["7", "abcdefghjkmnpqrs"])}` : "";
  }

  /** The reader of results leaves no NUL in them. */
  #resultText(): string {
    return this.text().replaceAll("\u0000", "\u0001");
  }
}

/** A message of ours reads with the generated code, and one of the generated code with ours. */
export function expectBothWays<S extends DescMessage, V>(
  schema: S,
  message: MessageInitShape<S>,
  value: V,
  ours: { write: (value: V) => Uint8Array; read: (bytes: Uint8Array) => unknown },
): void {
  const generated = create(schema, message);
  expect(fromBinary(schema, ours.write(value))).toEqual(generated);
  expect(ours.read(toBinary(schema, generated))).toEqual(value);
}
