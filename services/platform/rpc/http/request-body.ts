import type { IncomingMessage, ServerResponse } from "node:http";
import { brotliDecompress, gunzip, type InputType, type ZlibOptions } from "node:zlib";
import { RpcError } from "../errors/rpc-error.ts";

/**
 * Reads a whole body, unpacked when it is compressed. Throws
 * RESOURCE_EXHAUSTED (REQUEST_TOO_LARGE) past the limit, with the rest unread.
 * `framingBytes`: what a protocol puts around the message and does not count.
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
  framingBytes = 0,
): Promise<Buffer> {
  const mostBytes = maxBytes + framingBytes;
  const asksFirst = request.headers.expect !== undefined;
  // A client that asks first keeps its body back now: Node closes the connection, where nothing else could follow.
  if (Number(request.headers["content-length"] ?? 0) > mostBytes) throw tooLarge(maxBytes);
  if (asksFirst) response.writeContinue();
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      bytes += chunk.length;
      if (bytes > mostBytes) throw tooLarge(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof RpcError) throw error;
    throw new RpcError("CANCELLED", "the request broke off", { reason: "CANCELLED" });
  }
  return decompress(Buffer.concat(chunks), request.headers["content-encoding"], mostBytes);
}

/** Undoes a Content-Encoding; an archive that unpacks to more than the limit is refused. */
export async function decompress(body: Buffer, encoding: string | undefined, maxBytes: number): Promise<Buffer> {
  switch (encoding?.trim().toLowerCase() ?? "identity") {
    case "identity":
    case "":
      return body;
    case "gzip":
    case "x-gzip":
      return unpack(gunzip, body, maxBytes);
    case "br":
      return unpack(brotliDecompress, body, maxBytes);
    default:
      throw new RpcError("INVALID_ARGUMENT", `cannot read a body encoded as "${encoding}"; gzip and br are known`, {
        reason: "UNSUPPORTED_MEDIA_TYPE",
      });
  }
}

type Unpacker = (
  body: InputType,
  options: ZlibOptions,
  callback: (error: Error | null, result: Buffer) => void,
) => void;

function unpack(unpacker: Unpacker, body: Buffer, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    unpacker(body, { maxOutputLength: maxBytes }, (error, result) => {
      if (!error) return resolve(result);
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") return reject(tooLarge(maxBytes));
      reject(
        new RpcError("INVALID_ARGUMENT", "the body cannot be decompressed", {
          reason: "MALFORMED_REQUEST",
          cause: error,
        }),
      );
    });
  });
}

function tooLarge(maxBytes: number): RpcError {
  return new RpcError("RESOURCE_EXHAUSTED", `the request is larger than ${maxBytes} bytes`, {
    reason: "REQUEST_TOO_LARGE",
    metadata: { limit_bytes: String(maxBytes) },
  });
}
