import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import type { FieldViolation } from "./rpc-error.ts";

/**
 * The first field that a binary request carries and its message does not know,
 * at any depth. Nothing is accepted and ignored: a client newer than this
 * server learns that its field would have had no effect.
 */
export function findUnknownField(desc: DescMessage, message: Message, path = ""): FieldViolation | undefined {
  const unknown = message.$unknown?.[0];
  if (unknown) {
    return {
      field: path,
      description: `${desc.typeName} has no field with number ${unknown.no} in this version`,
    };
  }
  for (const field of nestedFields(desc)) {
    const found = findInField(field, message, path === "" ? field.name : `${path}.${field.name}`);
    if (found) return found;
  }
  return undefined;
}

function findInField(field: DescField, parent: Message, path: string): FieldViolation | undefined {
  const desc = field.message;
  const value = readField(field, parent);
  if (desc === undefined || value === undefined) return undefined;
  if (field.fieldKind === "message") return findUnknownField(desc, value as Message, path);
  const entries = Array.isArray(value) ? value.entries() : Object.entries(value as object);
  for (const [key, item] of entries) {
    const found = findUnknownField(desc, item as Message, `${path}[${JSON.stringify(key)}]`);
    if (found) return found;
  }
  return undefined;
}

function readField(field: DescField, parent: Message): unknown {
  const fields = parent as unknown as Record<string, unknown>;
  if (!field.oneof) return fields[field.localName];
  const group = fields[field.oneof.localName] as { case?: string; value?: unknown };
  return group.case === field.localName ? group.value : undefined;
}

const nestedFieldsOf = new WeakMap<DescMessage, readonly DescField[]>();

/** The fields that hold messages; remembered, since each request asks. */
function nestedFields(desc: DescMessage): readonly DescField[] {
  let fields = nestedFieldsOf.get(desc);
  if (!fields) {
    fields = desc.fields.filter((field) => field.message !== undefined);
    nestedFieldsOf.set(desc, fields);
  }
  return fields;
}
