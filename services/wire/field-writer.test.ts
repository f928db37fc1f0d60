import { expect, it } from "vitest";
import { writeMessage } from "./field-writer.ts";

it("a message that could not be written leaves nothing in front of the next", () => {
  const broken = () =>
    writeMessage((fields) => {
      fields.string(1, "begun");
      fields.message(2, () => fields.uint32(3, Number.NaN));
    });
  expect(broken).toThrow();
  expect([...writeMessage((fields) => fields.uint32(1, 5))]).toEqual([8, 5]);
});

it("a field that holds its default is left out", () => {
  const empty = writeMessage((fields) => {
    fields.string(1, "");
    fields.bytes(2, new Uint8Array());
    fields.uint32(3, 0);
    fields.enum(4, 0);
    fields.bool(5, false);
    fields.int64(6, 0);
    fields.uint64(7, 0);
    fields.map(8, {});
  });
  expect(empty.length).toBe(0);
});

it("a message that was written keeps its bytes", () => {
  const first = writeMessage((fields) => fields.uint32(1, 5));
  writeMessage((fields) => fields.uint32(2, 6));
  expect([...first]).toEqual([8, 5]);
});
