import { create, type DescField, type DescMessage, fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import { type FieldMask, FieldMaskSchema, isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { nearest } from "../../process/environment.ts";
import { invalidField } from "../errors/rpc-error.ts";
import { readEnum, readScalar, wrongType } from "./json-scalar.ts";

/**
 * Reads a message as people write it: snake_case or camelCase names, short or
 * full enum names. Strict in what matters: an unknown field, a wrong type or the
 * same field twice is INVALID_ARGUMENT with the path. `null` leaves a field
 * unset. protobuf-es has a reader, too; its messages name neither path nor
 * remedy, and it does not know the short names.
 */
export function readMessage(desc: DescMessage, json: unknown, path = ""): Message {
  const wellKnown = readWellKnown(desc, json, path);
  if (wellKnown) return wellKnown;
  if (!isObject(json)) throw wrongType(path, "an object", json);
  const message = create(desc);
  const seen = new Map<DescField, string>();
  for (const [key, value] of Object.entries(json)) {
    const field = findField(desc, key);
    if (!field) throw unknownField(desc, key, path);
    const fieldPath = join(path, field.name);
    const other = seen.get(field);
    if (other !== undefined) throw isThereTwice(fieldPath, other, key);
    seen.set(field, key);
    if (value !== null) setField(message, field, readField(field, value, fieldPath));
  }
  return message;
}

/** By its proto name or its JSON name. */
export function findField(desc: DescMessage, key: string): DescField | undefined {
  return desc.fields.find(({ name, jsonName }) => name === key || jsonName === key);
}

export function unknownField(desc: DescMessage, key: string, path: string) {
  const near = nearest(
    key,
    desc.fields.map(({ name }) => name),
  );
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return invalidField(join(path, key), `unknown field${hint}`, "UNKNOWN_FIELD");
}

export function isThereTwice(path: string, one: string, other: string) {
  return invalidField(path, `is there twice: "${one}" and "${other}"`, "DUPLICATE_FIELD");
}

export function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** Stores a value, in its oneof when it has one. */
export function setField(message: Message, field: DescField, value: unknown): void {
  const fields = message as unknown as Record<string, unknown>;
  if (field.oneof) {
    const group = fields[field.oneof.localName] as { case?: string };
    if (group.case !== undefined) {
      throw invalidField(field.name, `only one of the fields of ${field.oneof.name} can be set`, "DUPLICATE_FIELD");
    }
    fields[field.oneof.localName] = { case: field.localName, value };
  } else {
    fields[field.localName] = value;
  }
}

function readField(field: DescField, json: unknown, path: string): unknown {
  switch (field.fieldKind) {
    case "list":
      if (!Array.isArray(json)) throw wrongType(path, "an array", json);
      return json.map((item, index) => readSingle(field, item, `${path}[${index}]`));
    case "map":
      return readMap(field, json, path);
    default:
      return readSingle(field, json, path);
  }
}

/** One value of a field: of a list, one item. */
export function readSingle(field: DescField, json: unknown, path: string): unknown {
  if (field.message) {
    const message = readMessage(field.message, json, path);
    // protobuf-es keeps a google.protobuf.StringValue and its like as the bare value.
    const bare = field.fieldKind === "message" && isWrapperDesc(field.message);
    return bare ? (message as unknown as { value: unknown }).value : message;
  }
  if (field.enum) return readEnum(field.enum, json, path);
  const value = readScalar(field.scalar as NonNullable<typeof field.scalar>, json, path);
  const asString = "longAsString" in field && field.longAsString && typeof value === "bigint";
  return asString ? value.toString() : value;
}

function readMap(field: DescField & { fieldKind: "map" }, json: unknown, path: string): Record<string, unknown> {
  if (!isObject(json)) throw wrongType(path, "an object", json);
  const map: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    const itemPath = `${path}[${JSON.stringify(key)}]`;
    // Assigning it would set the prototype instead.
    if (key === "__proto__") throw invalidField(itemPath, "cannot be used as a key");
    map[key] = readSingle({ ...field, fieldKind: "list" } as unknown as DescField, value, itemPath);
  }
  return map;
}

const wellKnownHints: Readonly<Record<string, string>> = {
  "google.protobuf.Timestamp": 'an RFC 3339 timestamp such as "2026-12-01T09:00:00Z"',
  "google.protobuf.Duration": 'seconds with an s, such as "30s" or "1.5s"',
  "google.protobuf.FieldMask": 'field names with commas, such as "schedule,time_zone"',
};

/** The types with a JSON form of their own; undefined for all others. */
function readWellKnown(desc: DescMessage, json: unknown, path: string): Message | undefined {
  if (desc.typeName === FieldMaskSchema.typeName) return readFieldMask(json, path);
  if (!desc.typeName.startsWith("google.protobuf.") || desc.typeName === "google.protobuf.Empty") return undefined;
  try {
    return fromJson(desc, json as JsonValue);
  } catch {
    throw wrongType(path, wellKnownHints[desc.typeName] ?? `a ${desc.typeName}`, json);
  }
}

function readFieldMask(json: unknown, path: string): FieldMask {
  if (typeof json !== "string") throw wrongType(path, wellKnownHints[FieldMaskSchema.typeName] ?? "", json);
  const paths = json.split(",").map((item) => item.trim());
  return create(FieldMaskSchema, { paths: paths.filter((item) => item !== "").map(toSnakeCase) });
}

/** Of each name in camelCase on the path; the key of a map (`http.headers.X-B`) may be none. */
function toSnakeCase(path: string): string {
  const names = path.split(".").map((name) => {
    return /^[a-z][A-Za-z0-9]*$/.test(name) ? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name;
  });
  return names.join(".");
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
