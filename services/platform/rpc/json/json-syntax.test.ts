import { expect, test } from "vitest";
import { findSyntaxError, parseJson } from "./json-syntax.ts";

test.each([
  ["", 0],
  ["  ", 2],
  ["{", 1],
  ["{]", 1],
  ["[1,]", 3],
  ['{"a" 1}', 5],
  ['{"a":1,}', 7],
  ["nulls", 0],
  ["1 2", 2],
  ["-", 0],
  ['"\\x"', 0],
  ['"a\nb"', 0],
  ["[1}", 2],
  ["// x\n1", 0],
  ["[1 /* x */]", 3],
  ["[/", 1],
  ["01", 1],
  ["[1.]", 1],
  ["[.5]", 1],
  ["[1e+]", 1],
  ["1.2.3", 3],
  ['"\\u12g4"', 0],
  ['["a\u0001b"]', 1],
  ["\ufeff1", 0],
  ["\u00a01", 0],
])("in %j the error is at %i", (text, at) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(findSyntaxError(text)).toBe(at);
});

test.each([
  '{"a":[1,-2.5e3,{"b":null}],"c":"\\u00e9\\n\u{1F600}"}',
  "[]",
  " {} ",
  '"\u007f"',
  "0",
])("in %j there is none before its end", (text) => {
  expect(parseJson(Buffer.from(text))).toEqual(JSON.parse(text));
  expect(findSyntaxError(text)).toBe(text.length);
});

test.each([
  ["deep", "[".repeat(1 << 20)],
  ["long", `["${"x".repeat(1 << 24)}"`],
])("the error of a very %s text is found as well", (_, text) => {
  expect(findSyntaxError(text)).toBe(text.length);
});

test("bytes that are no UTF-8 are refused; a byte order mark is not", () => {
  expect(() => parseJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow("not valid UTF-8");
  expect(parseJson(Buffer.from("\ufeff{}"))).toEqual({});
});

test("a text is refused where it is nested too deep, before the whole of it is parsed", () => {
  const nested = (depth: number) => `${'{"a":['.repeat(depth / 2)}1${"]}".repeat(depth / 2)}`;
  expect(parseJson(Buffer.from(nested(100)))).toEqual(JSON.parse(nested(100)));
  expect(() => parseJson(Buffer.from(nested(102)))).toThrow("nested deeper than 100 levels, at byte 301");
  // It is no JSON either, which only a whole pass would tell.
  expect(() => parseJson(Buffer.from("[".repeat(1 << 24)))).toThrow("nested deeper than 100 levels, at byte 101");
});

test("brackets in strings, and beside each other, are no depth", () => {
  const text = `["${"[".repeat(200)}\\"${"{".repeat(200)}",${"[],".repeat(200)}{}]`;
  expect(parseJson(Buffer.from(text))).toEqual(JSON.parse(text));
});
