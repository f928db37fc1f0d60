export interface FetchOptions {
  /** Where a fetched binary is kept. */
  binDir: string;
  /** Told in one line when something takes a while. */
  say: (line: string) => void;
}

/** Brings a nats-server into a folder, or tells why it cannot. Throws nothing. */
export type FetchNatsServer = (options: FetchOptions) => Promise<{ ok: true } | { ok: false; reason: string }>;
