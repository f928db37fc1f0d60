// https://connectrpc.com/docs/protocol#streaming-rpcs, and gRPC's the same: flags, then a 32-bit length.
export const envelopeBytes = 5;
export const compressedFlag = 1;

export function envelope(flags: number, message: Uint8Array): Buffer {
  const head = Buffer.alloc(envelopeBytes);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
