import { invalidField } from "../../platform/rpc/errors/rpc-error.ts";
import type { Label } from "../store/named-jobs.ts";

// A label's key as Job has it; one with a dot or a slash would read as a path of fields, and stands in quotes.
const barePattern = /[A-Za-z0-9][A-Za-z0-9_-]*/y;
// What a value is made of that needs no quotes, as in a URL that is typed by hand.
const bareValuePattern = /[\w./:-]+/y;
const textPattern = /"((?:[^"\\]|\\["\\])*)"/y;
const andPattern = /AND(?=\s)/y;
const spacePattern = /\s*/y;
// Bounds what one question costs.
const mostTerms = 8;

/**
 * Reads a filter of jobs, as far as it is built of AIP-160: labels.KEY = "VALUE", and AND between such terms. Throws
 * INVALID_ARGUMENT that says where it cannot be read. An empty one asks for nothing.
 */
export function parseLabelFilter(filter: string): Label[] {
  const labels: Label[] = [];
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(filter);
    if (match) at += match[0].length;
    return match;
  };
  const expect = (text: string) => {
    if (!filter.startsWith(text, at)) throw unreadable(filter, at, text);
    at += text.length;
  };
  const takeText = () => {
    const match = take(textPattern);
    return match && (match[1] ?? "").replace(/\\(.)/g, "$1");
  };

  take(spacePattern);
  while (at < filter.length) {
    if (labels.length > 0) {
      if (!take(andPattern)) throw unreadable(filter, at, "AND");
      take(spacePattern);
    }
    expect("labels.");
    const name = takeText() ?? take(barePattern)?.[0];
    if (name === undefined) throw unreadable(filter, at, "the key of a label");
    take(spacePattern);
    expect("=");
    take(spacePattern);
    const value = takeText() ?? take(bareValuePattern)?.[0];
    if (value === undefined)
      throw unreadable(filter, at, "a value, in double quotes where it has other than letters, digits and _-./:");
    take(spacePattern);
    labels.push([name, value]);
  }
  if (labels.length > mostTerms) throw invalidField("filter", `has more than ${mostTerms} terms`, "FILTER_INVALID");
  return labels;
}

function unreadable(filter: string, at: number, expected: string) {
  const got = at < filter.length ? JSON.stringify(filter.slice(at, at + 20)) : "the end";
  const description = `expected ${expected} at character ${at + 1}, got ${got}; a term is labels.KEY = "VALUE", with AND between terms`;
  return invalidField("filter", description, "FILTER_INVALID");
}
