import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { DeadLetterSchema } from "../../gen/carillon/v1/events_pb.ts";
import { executionIdAt } from "../domain/identity/position.ts";
import { type AttemptResult, checkedResult } from "./attempt-result.ts";

/** An execution that used up its attempts, or was redriven and then not called; whole, to be redriven. */
export interface DeadLetter {
  /** A serialised DueEntry. */
  entry: Uint8Array;
  /** Its last attempt; of one that was not called the number of that, and why no other followed. */
  result: AttemptResult;
}

export function writeDeadLetter({ entry, result }: DeadLetter): Uint8Array {
  const executionId = executionIdAt(result.jobId, result);
  const second = BigInt(result.second);
  return toBinary(
    DeadLetterSchema,
    create(DeadLetterSchema, {
      entry,
      executionId,
      second,
      result: {
        ...result,
        executionId,
        second,
        sentAtMs: BigInt(result.sentAtMs),
        retryAtMs: BigInt(result.retryAtMs),
      },
    }),
  );
}

/** One that comes back uncalled after it was redriven, `redrivenAtMs`, is another letter than the one before. */
export function deadLetterId({ result }: DeadLetter, redrivenAtMs?: number): string {
  const name = `d-${executionIdAt(result.jobId, result)}-${result.attempt}`;
  return redrivenAtMs === undefined ? name : `${name}-${redrivenAtMs}`;
}

/** Throws when the bytes are no DeadLetter, or what is in it cannot be. */
export function readDeadLetter(bytes: Uint8Array): DeadLetter {
  const { entry, executionId, second, result } = fromBinary(DeadLetterSchema, bytes);
  if (!result) throw new Error("a dead letter without its result");
  if (result.executionId !== executionId || result.second !== second) {
    throw new Error(`a dead letter of ${executionId} with a result of ${result.executionId}`);
  }
  const numbers = {
    second: Number(second),
    sentAtMs: Number(result.sentAtMs),
    retryAtMs: Number(result.retryAtMs),
  };
  const read = checkedResult({ ...result, ...numbers });
  if (typeof read === "string") throw new Error(`${executionId}: ${read}`);
  return { entry, result: read };
}
