export interface HeaderProblem {
  /** The header at fault; undefined when it is all of them together. */
  name?: string;
  reason: string;
}

const maxHeadersBytes = 16 * 1024;
// RFC 9110, section 5.6.2.
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// What HTTP/1.1 can carry: visible ASCII, space, tab and Latin-1.
const sendable = /^[\t\x20-\x7e\x80-\xff]*$/;

// They belong to one connection (RFC 9110, section 7.6.1, and RFC 2616, section 13.5.1).
const hopByHop = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];
// Made from the URL and the body, or (Expect) never answered as asked.
const fromTheCall = ["host", "content-length", "expect"];
const ours = ["idempotency-key", "traceparent"];
const refused: ReadonlyMap<string, string> = new Map([
  ...hopByHop.map((name) => [name, "belongs to the connection and cannot be set"] as const),
  ...fromTheCall.map((name) => [name, "is made from the call and cannot be set"] as const),
  ...ours.map((name) => [name, "is set by Carillon"] as const),
]);

/** All that is wrong with the headers that a job sends. */
export function problemsOfTargetHeaders(headers: Readonly<Record<string, string>>): HeaderProblem[] {
  const problems: HeaderProblem[] = [];
  const seen = new Map<string, string>();
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    // Latin-1 on the wire: a byte a character.
    bytes += name.length + value.length;
    const lower = name.toLowerCase();
    const reason = problemOfName(name, lower) ?? problemOfRepeat(seen.get(lower)) ?? problemOfValue(value);
    if (reason !== undefined) problems.push({ name, reason });
    seen.set(lower, name);
  }
  if (bytes > maxHeadersBytes) {
    problems.push({ reason: `names and values together have ${bytes} bytes, more than ${maxHeadersBytes}` });
  }
  return problems;
}

function problemOfName(name: string, lower: string): string | undefined {
  if (!token.test(name)) return "is not a header name: letters, digits and !#$%&'*+-.^_`|~ only";
  if (lower.startsWith("carillon-")) return "is set by Carillon";
  return refused.get(lower);
}

function problemOfRepeat(earlier: string | undefined): string | undefined {
  return earlier === undefined ? undefined : `is given twice: "${earlier}" is the same header`;
}

function problemOfValue(value: string): string | undefined {
  return sendable.test(value) ? undefined : "its value has a line end, a control character or one beyond Latin-1";
}
