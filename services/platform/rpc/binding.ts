import { create, type DescMessage, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import type { Registry } from "prom-client";
import type { Clock } from "../process/clock.ts";
import type { Log } from "../process/log.ts";
import type { BoundMethod, BoundService, CallContext, ReadRequest, ServiceHandlers } from "./call-context.ts";
import { createCallMetrics } from "./call-metrics.ts";
import { type Authenticator, createAuthenticator } from "./checks/authentication.ts";
import { createRequestCheck } from "./checks/request-check.ts";
import { createErrorNormaliser } from "./error-normaliser.ts";
import { type RpcCode, RpcError } from "./errors/rpc-error.ts";

type Handler = (request: Message, context: CallContext) => unknown;

/** What each call goes through, whichever face it came from. Made once a process. */
export interface CallPipeline {
  /** For what is no RPC and asks for a token all the same, as /metrics does. */
  readonly authenticate: Authenticator;
  /** Whether there are no tokens: everybody who reaches this machine's loopback address is let in. */
  readonly open: boolean;
  /** Throws for methods that stream from the client. */
  bind(desc: DescMethod, handler: Handler): BoundMethod;
}

export interface CallPipelineConfig {
  /** Bearer tokens that are let in; none: everybody is. */
  tokens: readonly string[];
}

/**
 * Authentication, decoding, unknown fields, protovalidate rules, the handler,
 * encoding, then metrics and the log, in this order.
 */
export function createCallPipeline(
  config: CallPipelineConfig,
  deps: { metrics: Registry; log: Log; clock: Clock },
): CallPipeline {
  const authenticate = createAuthenticator(config.tokens);
  const checkRequest = createRequestCheck();
  const metrics = createCallMetrics(deps.metrics);
  const normalise = createErrorNormaliser(deps.log);

  const admit = async (desc: DescMessage, context: CallContext, read: ReadRequest) => {
    authenticate(context.header("authorization"));
    const request = await read();
    checkRequest(desc, request);
    return request;
  };

  return {
    authenticate,
    open: config.tokens.length === 0,
    bind(desc, handler) {
      if (desc.methodKind === "unary") {
        return {
          kind: "unary",
          desc,
          async call(context, read, write) {
            const startedMs = deps.clock.monotonicMs();
            let code: RpcCode | "OK" = "OK";
            try {
              const request = await admit(desc.input, context, read);
              return write(create(desc.output, (await handler(request, context)) as Message));
            } catch (error) {
              const refusal = normalise(error, desc, context);
              code = refusal.code;
              throw refusal;
            } finally {
              metrics.observe(desc, context.face, code, deps.clock.monotonicMs() - startedMs);
            }
          },
        };
      }
      if (desc.methodKind !== "server_streaming") {
        throw new Error(`${desc.parent.typeName}.${desc.name}: client streaming is not served`);
      }
      return {
        kind: "server_streaming",
        desc,
        async *call(context, read, write) {
          let code: RpcCode | "OK" = "OK";
          try {
            const request = await admit(desc.input, context, read);
            const responses = handler(request, context) as AsyncIterable<Message>;
            for await (const response of responses) {
              if (context.signal.aborted) break;
              yield write(create(desc.output, response));
            }
            // A stream that the server cut short must not look complete.
            if (context.signal.reason instanceof RpcError) throw context.signal.reason;
          } catch (error) {
            const refusal = normalise(error, desc, context);
            code = refusal.code;
            throw refusal;
          } finally {
            if (code === "OK" && context.signal.aborted) code = "CANCELLED";
            metrics.observe(desc, context.face, code, 0);
          }
        },
      };
    },
  };
}

/** Puts handlers behind the pipeline. Throws when one is missing or the service streams from clients. */
export function bindService<S extends DescService>(
  desc: S,
  handlers: ServiceHandlers<S>,
  pipeline: CallPipeline,
): BoundService {
  const byName = handlers as Record<string, Handler | undefined>;
  const methods = desc.methods.map((method) => {
    const handler = byName[method.localName];
    if (!handler) throw new Error(`${desc.typeName} has no handler for ${method.name}`);
    return pipeline.bind(method, handler.bind(handlers));
  });
  return { desc, methods };
}
