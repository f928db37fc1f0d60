import { createScanner, type SyntaxKind } from "jsonc-parser";

/**
 * The path of the first key that stands twice in one object of a valid JSON
 * text (`http.body`, `requests[3].job`), as it was written; undefined when there
 * is none. JSON.parse keeps the last one and says nothing, so that one of two
 * values would be accepted and ignored.
 *
 * `json` is the parsed text: with as many keys as the text has names nothing can
 * be lost. To count them costs 0.4 µs for a small job, 1.5 µs for a full one and
 * 0.5 µs for one with a body of 16 KB; to walk each text at once 0.7, 3 and 40 µs.
 */
export function findDuplicateKey(text: string, json: unknown): string | undefined {
  return countNames(text) === countKeys(json) ? undefined : walkToDuplicate(text);
}

/** In all objects, at any depth; without recursion, since a body may be nested as deep as it is long. */
function countKeys(json: unknown): number {
  let count = 0;
  const open: unknown[] = typeof json === "object" && json !== null ? [json] : [];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    // for…in makes no array of them; what JSON.parse makes inherits nothing that it would walk.
    for (const key in value as object) {
      const item = (value as Record<string, unknown>)[key];
      if (typeof item === "object" && item !== null) open.push(item);
      count++;
    }
    if (Array.isArray(value)) count -= value.length;
  }
  return count;
}

/** The strings that a colon follows: in valid JSON these are the names of members, and nothing else is. */
function countNames(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; ) {
    const end = endOfString(text, at);
    if (isName(text, end)) count++;
    at = text.indexOf('"', end);
  }
  return count;
}

interface Container {
  /** Names so far; undefined in an array. */
  names: Set<string> | undefined;
  /** Where the walk stands in it. */
  at: string | number;
}

function walkToDuplicate(text: string): string | undefined {
  const scanner = createScanner(text, true);
  const open: Container[] = [];
  let lastString = "";
  while (scanner.scan() !== end) {
    const inside = open.at(-1);
    switch (text.charAt(scanner.getTokenOffset())) {
      case "{":
        open.push({ names: new Set(), at: "" });
        break;
      case "[":
        open.push({ names: undefined, at: 0 });
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case ",":
        if (typeof inside?.at === "number") inside.at++;
        break;
      case '"':
        lastString = scanner.getTokenValue();
        break;
      case ":":
        if (!inside?.names) break;
        inside.at = lastString;
        if (inside.names.has(lastString)) return pathOf(open);
        inside.names.add(lastString);
    }
  }
  return undefined;
}

/** The index behind the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let end = start;
  do {
    end = text.indexOf('"', end + 1);
  } while (isEscaped(text, end));
  return end + 1;
}

function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === backslash) first--;
  return (at - first) % 2 === 1;
}

function isName(text: string, end: number): boolean {
  let at = end;
  let code = text.charCodeAt(at);
  while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++at);
  return code === colon;
}

function pathOf(open: readonly Container[]): string {
  return open.reduce((path, { at }) => {
    if (typeof at === "number") return `${path}[${at}]`;
    if (!/^\w+$/.test(at)) return `${path}[${JSON.stringify(at)}]`;
    return path === "" ? at : `${path}.${at}`;
  }, "");
}

// The package declares its enums as `const`: a compiler that sees one file at a time knows them as types only.
const end: SyntaxKind.EOF = 17;
const backslash = 0x5c;
const colon = 0x3a;
