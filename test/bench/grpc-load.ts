import { type ClientHttp2Session, connect } from "node:http2";

/**
 * Unary gRPC calls with a request that is encoded once and an answer that is not
 * decoded: the least client that speaks the protocol, so that it takes as little
 * as it can of the machine that is measured. A client library costs more than
 * the server that it calls.
 */
export interface GrpcLoad {
  /** Rejects unless the call ends with OK. */
  call(method: string, request: Uint8Array): Promise<void>;
  close(): void;
}

// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: a flag for compression, then a 32-bit length.
const prefixBytes = 5;

export function createGrpcLoad(address: string): GrpcLoad {
  const session: ClientHttp2Session = connect(`http://${address}`);
  session.on("error", () => undefined);
  return {
    call(method, request) {
      const frame = Buffer.alloc(prefixBytes + request.length);
      frame.writeUInt32BE(request.length, 1);
      frame.set(request, prefixBytes);
      return new Promise((resolve, reject) => {
        const stream = session.request({
          ":method": "POST",
          ":path": method,
          "content-type": "application/grpc",
          te: "trailers",
        });
        let status: unknown;
        // A refusal has its status in the headers: there is nothing else.
        stream.on("response", (headers) => {
          status = headers["grpc-status"];
        });
        stream.on("trailers", (trailers) => {
          status = trailers["grpc-status"];
        });
        stream.on("error", reject);
        stream.on("end", () => (status === "0" ? resolve() : reject(new Error(`${method} ended with ${status}`))));
        stream.resume();
        stream.end(frame);
      });
    },
    close: () => session.close(),
  };
}
