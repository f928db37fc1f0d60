/** A small REST client for tests: JSON in, status and JSON out. */
export interface Answer {
  status: number;
  // Tests look at whatever the server sent.
  // biome-ignore lint/suspicious/noExplicitAny: the body of an arbitrary answer
  body: any;
}

export function restClient(baseUrl: string, headers: Record<string, string> = {}) {
  const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(baseUrl + path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  };
  return {
    get: (path: string) => call("GET", path),
    post: (path: string, body?: unknown) => call("POST", path, body),
    patch: (path: string, body: unknown) => call("PATCH", path, body),
    delete: (path: string) => call("DELETE", path),
  };
}

export type RestClient = ReturnType<typeof restClient>;

/** Asks again until the answer passes. For what has no event to wait for; the test's own timeout is the limit. */
export async function eventually<T>(ask: () => Promise<T>, passes: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await ask();
    if (passes(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
