import type { Registry } from "prom-client";
import type { Clock, Random } from "./clock.ts";
import type { Address } from "./environment.ts";
import type { Startable } from "./lifecycle.ts";
import type { Log } from "./log.ts";

/** Where a service listens. Before the start it is what was asked for, after it port 0 has become the real one. */
export interface ServiceAddresses {
  /** Health and reflection, beside the service's own calls. */
  grpc: Address;
  /** /metrics, /livez and /readyz. */
  ops: Address;
  /** REST and Connect; the registry alone has it. */
  http?: Address;
}

/** What a service's factory returns. */
export interface Service extends Startable {
  addresses(): ServiceAddresses;
}

/** What a service's factory is given beside its configuration. */
export interface ServiceDeps {
  clock: Clock;
  random: Random;
  log: Log;
  /** The service adds its own metrics to it. */
  metrics: Registry;
}
