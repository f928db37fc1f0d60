import { ResponderBuilder, ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder } from "@grpc/grpc-js";
import { toGrpcStatus } from "./grpc-call.ts";

/**
 * Ends open streams of the official services when `shutdown` is aborted, with
 * its reason: Health/Watch and reflection know no end of their own, and would
 * hold up the stop until they are cut off. `isOurs` tells the methods that see
 * to it themselves.
 */
export function endStreamsOn(shutdown: AbortSignal, isOurs: (path: string) => boolean): ServerInterceptor {
  return ({ path, responseStream }, call) => {
    if (!responseStream || isOurs(path)) return call as ServerInterceptingCall;
    const end = () => call.sendStatus(toGrpcStatus(shutdown.reason));
    // Also told when the call has ended in any other way.
    const listener = new ServerListenerBuilder().withOnCancel(() => shutdown.removeEventListener("abort", end)).build();
    const responder = new ResponderBuilder()
      .withStart((next) => {
        next(listener);
        if (shutdown.aborted) end();
        else shutdown.addEventListener("abort", end, { once: true });
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}
