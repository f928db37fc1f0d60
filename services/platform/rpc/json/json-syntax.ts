import { invalidField, RpcError } from "../errors/rpc-error.ts";
import { findDuplicateKey } from "./json-duplicates.ts";

/** Parses a request body. Throws INVALID_ARGUMENT that tells where the text stops being JSON, or what it says twice. */
export function parseJson(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes);
  const json = parseText(text);
  const twice = findDuplicateKey(text, json);
  if (twice !== undefined) throw invalidField(twice, "is there twice", "DUPLICATE_FIELD");
  return json;
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const at = findSyntaxError(text);
    const before = text.slice(0, at);
    const line = before.split("\n").length;
    const column = at - before.lastIndexOf("\n");
    const found = at < text.length ? JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0)) : "the end";
    throw new RpcError(
      "INVALID_ARGUMENT",
      `malformed JSON: did not expect ${found} at line ${line}, column ${column}`,
      {
        reason: "MALFORMED_JSON",
        metadata: { line: String(line), column: String(column) },
      },
    );
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new RpcError("INVALID_ARGUMENT", "the body is not valid UTF-8", { reason: "MALFORMED_JSON" });
  }
}

const punctuation = /[{}[\],:]/.source;
const quoted = /"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/u.source;
const literal = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])/.source;
const token = new RegExp(`[ \\t\\n\\r]*(?:(${punctuation})|(${quoted})|${literal})`, "uy");

type Expected = "value" | "value or ]" | "key" | "key or }" | "colon" | "comma or close" | "end";

/**
 * The index of the first character that cannot stand in a JSON text. V8 tells
 * it for some errors only. Runs only when JSON.parse has failed (RFC 8259).
 */
export function findSyntaxError(text: string): number {
  const open: string[] = [];
  let expected: Expected = "value";
  let at = 0;
  for (;;) {
    token.lastIndex = at;
    const match = token.exec(text);
    const start = skipSpace(text, at);
    if (!match) return start;
    const next = step(expected, match[1] ?? (match[2] === undefined ? "literal" : "string"), open);
    if (next === undefined) return start;
    expected = next;
    at = token.lastIndex;
  }
}

/** What may come after a token; undefined when the token may not come here. */
function step(expected: Expected, kind: string, open: string[]): Expected | undefined {
  const closed = (): Expected => (open.length === 0 ? "end" : "comma or close");
  const isValue = expected === "value" || expected === "value or ]";
  if (kind === "]" && (expected === "value or ]" || (expected === "comma or close" && open.at(-1) === "["))) {
    open.pop();
    return closed();
  }
  if (kind === "}" && (expected === "key or }" || (expected === "comma or close" && open.at(-1) === "{"))) {
    open.pop();
    return closed();
  }
  if (kind === "{" && isValue) {
    open.push("{");
    return "key or }";
  }
  if (kind === "[" && isValue) {
    open.push("[");
    return "value or ]";
  }
  if (kind === "string" && expected.startsWith("key")) return "colon";
  if (kind === ":" && expected === "colon") return "value";
  if (kind === "," && expected === "comma or close") return open.at(-1) === "{" ? "key" : "value";
  if ((kind === "string" || kind === "literal") && isValue) return closed();
  return undefined;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\n\r".includes(text.charAt(at))) at++;
  return at;
}
