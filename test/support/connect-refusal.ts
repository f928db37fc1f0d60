import { create } from "@bufbuild/protobuf";
import { AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { fromStatus } from "../../services/platform/rpc/errors/error-details.ts";
import type { RpcError } from "../../services/platform/rpc/errors/rpc-error.ts";

/** The refusal that a Connect client got, as it was thrown; also one that was never sent. */
export function fromConnectError(error: ConnectError): RpcError {
  const details = error.details.map((detail) =>
    "desc" in detail
      ? anyPack(detail.desc, create(detail.desc, detail.value))
      : create(AnySchema, { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value }),
  );
  return fromStatus({ code: error.code, message: error.rawMessage, details });
}
