import { createScanner, type ScanError, type SyntaxKind } from "jsonc-parser";
import { invalidField, RpcError } from "../errors/rpc-error.ts";
import { findDuplicateKey } from "./json-duplicates.ts";

/** Parses a request body. Throws INVALID_ARGUMENT that tells where the text stops being JSON, or what it says twice. */
export function parseJson(bytes: Uint8Array): unknown {
  refuseDepth(bytes);
  const text = decodeUtf8(bytes);
  const json = parseText(text);
  const twice = findDuplicateKey(text, json);
  if (twice !== undefined) throw invalidField(twice, "is there twice", "DUPLICATE_FIELD");
  return json;
}

// As deep as protobuf lets messages be nested. A text of nothing but brackets costs a second a megabyte
// to parse, with everybody waiting; to look at each byte costs 2 ms.
const deepest = 100;
const [quote, backslash] = Buffer.from('"\\');
const [openBracket, closeBracket, openBrace, closeBrace] = Buffer.from("[]{}");

function refuseDepth(bytes: Uint8Array): void {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (quoted) {
      if (byte === backslash) at++;
      else if (byte === quote) quoted = false;
    } else if (byte === quote) {
      quoted = true;
    } else if (byte === openBracket || byte === openBrace) {
      if (++depth > deepest) throw tooDeep(at);
    } else if (byte === closeBracket || byte === closeBrace) {
      depth--;
    }
  }
}

function tooDeep(at: number): RpcError {
  return new RpcError("INVALID_ARGUMENT", `the JSON is nested deeper than ${deepest} levels, at byte ${at + 1}`, {
    reason: "JSON_TOO_DEEP",
    metadata: { byte: String(at + 1) },
  });
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

type Expected = "value" | "value or ]" | "key" | "key or }" | "colon" | "comma or close" | "end";

/**
 * The index of the first token that cannot stand in a JSON text (RFC 8259). V8
 * tells it for some errors only. Runs only when JSON.parse has failed, without
 * recursion: a body may be nested as deep as it is long.
 */
export function findSyntaxError(text: string): number {
  const scanner = createScanner(text);
  const open: string[] = [];
  let expected: Expected = "value";
  for (;;) {
    const token = scanner.scan();
    if (token === lineBreak || token === space) continue;
    const at = scanner.getTokenOffset();
    // Behind the literals come comments, what is no token, and the end.
    if (token > lastOfJson || scanner.getTokenError() !== noError) return at;
    const next = step(expected, text.charAt(at), open);
    if (next === undefined) return at;
    expected = next;
  }
}

// The package declares its enums as `const`: a compiler that sees one file at a time knows them as types only.
const lastOfJson: SyntaxKind.NumericLiteral = 11;
const lineBreak: SyntaxKind.LineBreakTrivia = 14;
const space: SyntaxKind.Trivia = 15;
const noError: ScanError.None = 0;

/** What may come after a token, which its first character tells; undefined when it may not come here. */
function step(expected: Expected, first: string, open: string[]): Expected | undefined {
  const closed = (): Expected => (open.length === 0 ? "end" : "comma or close");
  const isValue = expected === "value" || expected === "value or ]";
  if (first === "]" && (expected === "value or ]" || (expected === "comma or close" && open.at(-1) === "["))) {
    open.pop();
    return closed();
  }
  if (first === "}" && (expected === "key or }" || (expected === "comma or close" && open.at(-1) === "{"))) {
    open.pop();
    return closed();
  }
  if (first === "{" && isValue) {
    open.push("{");
    return "key or }";
  }
  if (first === "[" && isValue) {
    open.push("[");
    return "value or ]";
  }
  if (first === '"' && expected.startsWith("key")) return "colon";
  if (first === ":" && expected === "colon") return "value";
  if (first === "," && expected === "comma or close") return open.at(-1) === "{" ? "key" : "value";
  return isValue && !"]},:".includes(first) ? closed() : undefined;
}
