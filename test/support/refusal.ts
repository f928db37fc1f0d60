import type { FieldViolation } from "../../services/platform/rpc/errors/field-violation.ts";
import { RpcError } from "../../services/platform/rpc/errors/rpc-error.ts";

/** The refusal of a call, as its client sees it. */
export async function refusalOf(call: Promise<unknown>): Promise<RpcError> {
  const error = await call.then(
    () => undefined,
    (caught) => caught,
  );
  if (error instanceof RpcError) return error;
  throw new Error(`not refused: ${error}`);
}

export const fieldsOf = (error: { fieldViolations: readonly FieldViolation[] }) =>
  error.fieldViolations.map(({ field }) => field);
export const seconds = (count: number) => ({ seconds: BigInt(count) });
export const instantAt = (ms: number) => seconds(Math.floor(ms / 1000));
