import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import { RpcError } from "./errors/rpc-error.ts";

/** Reads a request in protobuf's binary form. Throws INVALID_ARGUMENT. */
export function decodeMessage(desc: DescMessage, bytes: Uint8Array): Message {
  try {
    return fromBinary(desc, bytes);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RpcError("INVALID_ARGUMENT", `the request is no ${desc.typeName}: ${why}`, {
      reason: "MALFORMED_REQUEST",
    });
  }
}
