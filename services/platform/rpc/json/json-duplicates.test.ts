import { expect, test } from "vitest";
import { findDuplicateKey } from "./json-duplicates.ts";

const find = (text: string) => findDuplicateKey(text, JSON.parse(text));

test.each([
  ["at the root", '{"a":1,"b":{"a":2},"a":3}', "a"],
  ["within", '{"http":{"body":"x", "method":"GET",\n"body" : "y"}}', "http.body"],
  ["in an item of a list", '{"requests":[{"job":1},[],{"job":1,"job":{}}]}', "requests[2].job"],
  ["with an escape", '{"\\u0061":1,"a":2}', "a"],
  ["of a map", '{"labels":{"x-y":"1","x-y":"2"}}', 'labels["x-y"]'],
  ["that reaches into prototypes", '{"__proto__":1,"__proto__":2}', "__proto__"],
])("a key that stands twice is found %s", (_, text, path) => {
  expect(find(text)).toBe(path);
});

test.each([
  '{"a":"a\\":","b":"\\\\","c":"{\\"a\\":1,\\"a\\":2}"}',
  '[{"a":1},{"a":2}]',
  '{"a":{"a":{"a":"a"}}, "b" : [":", "a"] }',
  '{"__proto__":{"constructor":1},"1":2,"0":3}',
  '":"',
  "null",
])("in %s no key stands twice", (text) => {
  expect(find(text)).toBeUndefined();
});

test("depth costs no stack", () => {
  const depth = 200_000;
  expect(find(`${"[".repeat(depth)}{"a":1,"a":2}${"]".repeat(depth)}`)).toMatch(/\[0\]\.a$/);
});
