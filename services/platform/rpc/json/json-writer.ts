import { type DescField, type DescMessage, isFieldSet, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import {
  FeatureSet_FieldPresence,
  type FieldMask,
  isWrapperDesc,
  type Timestamp,
  timestampMs,
} from "@bufbuild/protobuf/wkt";

export interface WriteOptions {
  /** Whether fields without presence are written when they hold their default. Default: true. */
  emitDefaults?: boolean;
}

/**
 * The JSON of the REST face: snake_case names, enum values without their
 * prefix, timestamps with exactly milliseconds; what is unset is left out, what
 * cannot be unset is always there.
 */
export function writeMessage(desc: DescMessage, message: Message, options: WriteOptions = {}): JsonValue {
  const wellKnown = writeWellKnown(desc, message);
  if (wellKnown !== undefined) return wellKnown;
  const object: Record<string, JsonValue> = {};
  for (const field of desc.fields) {
    const always = options.emitDefaults !== false && field.presence === FeatureSet_FieldPresence.IMPLICIT;
    if (!always && !isFieldSet(message, field)) continue;
    object[field.name] = writeField(field, readField(message, field), options);
  }
  return object;
}

/** Writes the value of one field, for response_body. */
export function writeField(field: DescField, value: unknown, options: WriteOptions): JsonValue {
  switch (field.fieldKind) {
    case "list":
      return (value as unknown[]).map((item) => writeSingle(field, item, options));
    case "map":
      return Object.fromEntries(
        Object.entries(value as object).map(([key, item]) => [key, writeSingle(field, item, options)]),
      );
    default:
      return writeSingle(field, value, options);
  }
}

export function readField(message: Message, field: DescField): unknown {
  const fields = message as unknown as Record<string, unknown>;
  if (!field.oneof) return fields[field.localName];
  return (fields[field.oneof.localName] as { value?: unknown }).value;
}

function writeSingle(field: DescField, value: unknown, options: WriteOptions): JsonValue {
  if (field.message) {
    const bare = field.fieldKind === "message" && isWrapperDesc(field.message);
    return bare ? writeScalar(value) : writeMessage(field.message, value as Message, options);
  }
  // A number that this version has no name for is written as it is.
  if (field.enum) return field.enum.value[value as number]?.localName ?? (value as number);
  return writeScalar(value);
}

function writeScalar(value: unknown): JsonValue {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return base64Encode(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return value as JsonValue;
}

function writeWellKnown(desc: DescMessage, message: Message): JsonValue | undefined {
  switch (desc.typeName) {
    case "google.protobuf.Timestamp":
      return new Date(timestampMs(message as Timestamp)).toISOString();
    case "google.protobuf.FieldMask":
      return (message as FieldMask).paths.join(",");
    case "google.protobuf.Empty":
      return {};
    default:
      return desc.typeName.startsWith("google.protobuf.") ? toJson(desc, message) : undefined;
  }
}
