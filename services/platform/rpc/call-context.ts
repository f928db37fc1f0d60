import type {
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

/** The way a call came in. */
export type Face = "grpc" | "connect" | "grpc-web" | "rest";

/** What a handler may know of its call, whichever face it came through. */
export interface CallContext {
  readonly face: Face;
  /** The first value of a request header (gRPC metadata); any case. */
  header(name: string): string | undefined;
  /** Aborted when the client went away, the deadline passed or the server stops. */
  readonly signal: AbortSignal;
  /** Milliseconds until the client's deadline; undefined without one. */
  remainingMs(): number | undefined;
  /**
   * For a server-streaming handler: the request is accepted, and what happens
   * from here on will be sent. Tells the client so (response headers) where the
   * face can; an error before it still gets its own HTTP status.
   */
  open(): void;
}

/**
 * The implementation of a service, one function an RPC:
 * unary `async (request, context) => response`,
 * server streaming `async function* (request, context) { yield response }`.
 * Refusals are thrown as RpcError. Client streaming is not served.
 */
export type ServiceHandlers<S extends DescService> = {
  [Name in keyof S["method"]]: MethodHandler<S["method"][Name]>;
};

export type MethodHandler<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: CallContext) => Promise<MessageInitShape<O>> | MessageInitShape<O>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, context: CallContext) => AsyncIterable<MessageInitShape<O>>
      : never;

/** Reads the request off the wire; runs only once the caller is known. Throws RpcError. */
export type ReadRequest = () => Message | Promise<Message>;

/** Makes of an answer what its face sends. What it throws is a surprise like any other. */
export type WriteResponse<T> = (response: Message) => T;

export interface BoundUnary {
  readonly kind: "unary";
  readonly desc: DescMethod;
  call<T>(context: CallContext, read: ReadRequest, write: WriteResponse<T>): Promise<T>;
}

export interface BoundStream {
  readonly kind: "server_streaming";
  readonly desc: DescMethod;
  call<T>(context: CallContext, read: ReadRequest, write: WriteResponse<T>): AsyncGenerator<T, void, undefined>;
}

export type BoundMethod = BoundUnary | BoundStream;

/** A service behind its pipeline: what each face serves. All it throws is RpcError. */
export interface BoundService {
  readonly desc: DescService;
  readonly methods: readonly BoundMethod[];
}
