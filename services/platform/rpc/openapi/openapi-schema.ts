import { type DescEnum, type DescField, type DescMessage, type JsonObject, ScalarType } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { FieldBehavior } from "../../../../gen/google/api/field_behavior_pb.ts";
import { hasBehavior } from "../rest/field-behavior.ts";
import type { CommentOf } from "./descriptor-comments.ts";
import { boundsOf, withoutUndefined } from "./openapi-bounds.ts";

/** What a message is part of: what has to be sent, and what always comes, are not the same. */
export type Direction = "request" | "answer";

/** Messages that are always set in answers, by the full name of their parent: `{ "carillon.v1.Job": ["created_at"] }`. */
export type AlwaysSet = Readonly<Record<string, readonly string[]>>;

/**
 * Collects the schemas that a document refers to. A message that is sent and answered has two: `Job` as it comes, with all
 * that always comes required, and `JobInput` as it is sent.
 */
export interface SchemaCollector {
  /** `components.schemas`. */
  readonly schemas: JsonObject;
  /** A reference to a message, adding it and all that it needs. */
  refer(desc: DescMessage | DescEnum, direction: Direction): JsonObject;
  /** The schema of one field, with its comment and bounds. */
  field(field: DescField, direction: Direction): JsonObject;
  /** An object of some fields of a message. */
  object(fields: readonly DescField[], direction: Direction): JsonObject;
}

export function createSchemaCollector(commentOf: CommentOf, alwaysSet: AlwaysSet = {}): SchemaCollector {
  const schemas: JsonObject = {};

  const refer = (desc: DescMessage | DescEnum, direction: Direction): JsonObject => {
    const wellKnown = wellKnownSchemas[desc.typeName];
    if (wellKnown) return { ...wellKnown };
    const name = schemaName(desc, direction);
    if (!(name in schemas)) {
      // First its place, since a message may contain itself.
      schemas[name] = {};
      schemas[name] = desc.kind === "enum" ? enumSchema(desc) : describe(desc, object(desc.fields, direction));
    }
    return { $ref: `#/components/schemas/${name}` };
  };

  const describe = (desc: Parameters<CommentOf>[0], schema: JsonObject): JsonObject => {
    const comment = commentOf(desc);
    return comment === "" ? schema : { ...schema, description: comment };
  };

  const enumSchema = (desc: DescEnum): JsonObject => {
    // The UNSPECIFIED value is left out: nobody sends it.
    const lines = desc.values
      .filter(({ number }) => number !== 0)
      .map((value) => ({ name: value.localName, comment: commentOf(value) }));
    const listed = lines
      .filter(({ comment }) => comment !== "")
      .map(({ name, comment }) => `- \`${name}\`: ${comment}`);
    return {
      type: "string",
      enum: lines.map(({ name }) => name),
      description: [commentOf(desc), listed.join("\n")].filter((part) => part !== "").join("\n\n"),
    };
  };

  const single = (field: DescField, direction: Direction): JsonObject => {
    if (field.message) return refer(field.message, direction);
    if (field.enum) return refer(field.enum, direction);
    return { ...scalarSchemas[field.scalar as ScalarType] };
  };

  const field = (desc: DescField, direction: Direction): JsonObject => {
    const { items, additionalProperties, "x-bounds": inWords, ...bounds } = boundsOf(desc);
    const comment = [commentOf(desc), inWords === undefined ? "" : `Bounds: ${inWords}.`];
    const description = comment.filter((part) => part !== "").join("\n\n") || undefined;
    const readOnly = hasBehavior(desc, FieldBehavior.OUTPUT_ONLY) || undefined;
    const merged = (more: JsonObject[string] | undefined) => ({
      ...single(desc, direction),
      ...(more as JsonObject | undefined),
    });
    switch (desc.fieldKind) {
      case "list":
        return withoutUndefined({ type: "array", items: merged(items), ...bounds, description, readOnly });
      case "map":
        return withoutUndefined({
          type: "object",
          additionalProperties: merged(additionalProperties),
          ...bounds,
          description,
          readOnly,
        });
      default:
        return withoutUndefined({ ...single(desc, direction), ...bounds, description, readOnly });
    }
  };

  /** What cannot be unset is always written (json-writer.ts). */
  const alwaysComes = (desc: DescField) =>
    desc.presence === FeatureSet_FieldPresence.IMPLICIT || alwaysSet[desc.parent.typeName]?.includes(desc.name);

  const object = (fields: readonly DescField[], direction: Direction): JsonObject => {
    const isRequired = (desc: DescField) =>
      direction === "answer" ? alwaysComes(desc) : hasBehavior(desc, FieldBehavior.REQUIRED);
    const required = fields.filter(isRequired).map(({ name }) => name);
    return {
      type: "object",
      properties: Object.fromEntries(fields.map((desc) => [desc.name, field(desc, direction)])),
      ...(required.length > 0 && { required }),
    };
  };

  return { schemas, refer, field, object };
}

/** `carillon.v1.CatchUp.Policy` becomes `CatchUp.Policy`. */
function schemaName(desc: DescMessage | DescEnum, direction: Direction): string {
  const name = desc.typeName.slice(desc.file.proto.package.length).replace(/^\./, "");
  const isInput = desc.kind === "message" && direction === "request" && !name.endsWith("Request");
  return isInput ? `${name}Input` : name;
}

const wellKnownSchemas: Readonly<Record<string, JsonObject>> = {
  "google.protobuf.Timestamp": { type: "string", format: "date-time", examples: ["2026-12-01T09:00:00.000Z"] },
  "google.protobuf.Duration": { type: "string", pattern: "^-?\\d+(\\.\\d{1,9})?s$", examples: ["30s"] },
  "google.protobuf.FieldMask": { type: "string", examples: ["schedule,time_zone"] },
  "google.protobuf.Empty": { type: "object" },
};

const int64: JsonObject = { type: "string", format: "int64", pattern: "^-?\\d+$" };
const uint64: JsonObject = { type: "string", format: "uint64", pattern: "^\\d+$" };
const int32: JsonObject = { type: "integer", format: "int32" };
const uint32: JsonObject = { type: "integer", minimum: 0, maximum: 2 ** 32 - 1 };

const scalarSchemas: Readonly<Record<ScalarType, JsonObject>> = {
  [ScalarType.STRING]: { type: "string" },
  [ScalarType.BOOL]: { type: "boolean" },
  [ScalarType.BYTES]: { type: "string", contentEncoding: "base64" },
  [ScalarType.DOUBLE]: { type: "number" },
  [ScalarType.FLOAT]: { type: "number" },
  [ScalarType.INT32]: int32,
  [ScalarType.SINT32]: int32,
  [ScalarType.SFIXED32]: int32,
  [ScalarType.UINT32]: uint32,
  [ScalarType.FIXED32]: uint32,
  [ScalarType.INT64]: int64,
  [ScalarType.SINT64]: int64,
  [ScalarType.SFIXED64]: int64,
  [ScalarType.UINT64]: uint64,
  [ScalarType.FIXED64]: uint64,
};
