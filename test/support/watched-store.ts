import type { RegistryStore } from "../../services/registry/store/contract.ts";

export type StoreMethod = Exclude<keyof RegistryStore, "start" | "stop" | "onOutbox">;

export interface StoreWatch {
  /** Runs before a call reaches the store; what it throws rejects the call. */
  before?: (method: StoreMethod) => Promise<void> | void;
  /** Runs before the call's caller hears its result. */
  after?: (method: StoreMethod) => Promise<void> | void;
  /** Calls what is handed in to decide over a row twice, as an engine does whose transaction has to be repeated. */
  decidesTwice?: boolean;
}

type Decide = (rows: object) => unknown;

/** A real store whose calls can be held up or made to fail, as those of a database across a network. */
export function watchedStore(store: RegistryStore, watch: StoreWatch): RegistryStore {
  const asIs = new Set<PropertyKey>(["start", "stop", "onOutbox"]);
  return new Proxy(store, {
    get(target, method: StoreMethod) {
      const call = target[method] as (...args: unknown[]) => Promise<unknown>;
      if (asIs.has(method)) return call;
      return async (...args: unknown[]) => {
        await watch.before?.(method);
        const result = await call(...(watch.decidesTwice ? args.map(twice) : args));
        await watch.after?.(method);
        return result;
      };
    },
  });
}

/** Each time on rows of its own: what the first call did to a row would be lost. */
function twice(arg: unknown): unknown {
  if (typeof arg !== "function") return arg;
  const decide = arg as Decide;
  return (rows: object) => {
    decide(structuredClone(rows));
    return decide(structuredClone(rows));
  };
}
