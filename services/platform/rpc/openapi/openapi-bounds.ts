import { type DescField, getOption, hasOption, isFieldSet, type JsonObject, type Message } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import {
  type FieldRules,
  FieldRulesSchema,
  Ignore,
  field as rulesOf,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/** The bounds that a field's protovalidate rules set, as JSON Schema keywords. */
export function boundsOf(field: DescField): JsonObject {
  if (!hasOption(field, rulesOf)) return {};
  const rules = getOption(field, rulesOf);
  return rules.ignore === Ignore.ALWAYS ? {} : toKeywords(rules);
}

function toKeywords(rules: FieldRules): JsonObject {
  const set = <T>(name: string, message: Message, read: () => T): T | undefined => {
    const desc = FieldRulesSchema.fields.find(
      ({ oneof, localName }) => oneof && localName === rules.type.case,
    )?.message;
    const field = desc?.fields.find((candidate) => candidate.localName === name);
    return field && isFieldSet(message, field) ? read() : undefined;
  };
  const { type } = rules;
  switch (type.case) {
    case "string": {
      const { value } = type;
      return withoutUndefined({
        minLength: set("minLen", value, () => Number(value.minLen)) ?? (rules.required ? 1 : undefined),
        maxLength: set("maxLen", value, () => Number(value.maxLen)),
        pattern: set("pattern", value, () => value.pattern),
        enum: value.in.length > 0 ? [...value.in] : undefined,
        // UTF-8 has at least a byte a character.
        ...(set("maxBytes", value, () => true) && { maxLength: Number(value.maxBytes) }),
      });
    }
    case "int32":
    case "uint32":
    case "int64":
    case "uint64":
    case "float":
    case "double":
      return rangeOf(type.value.greaterThan, type.value.lessThan);
    case "repeated": {
      const { value } = type;
      return withoutUndefined({
        minItems: set("minItems", value, () => Number(value.minItems)),
        maxItems: set("maxItems", value, () => Number(value.maxItems)),
        uniqueItems: value.unique || undefined,
        items: value.items && toKeywords(value.items),
      });
    }
    case "map": {
      const { value } = type;
      return withoutUndefined({
        minProperties: set("minPairs", value, () => Number(value.minPairs)),
        maxProperties: set("maxPairs", value, () => Number(value.maxPairs)),
        propertyNames: value.keys && toKeywords(value.keys),
        additionalProperties: value.values && toKeywords(value.values),
      });
    }
    case "duration": {
      // JSON Schema has no bounds for text: they are told in words.
      const { greaterThan, lessThan } = type.value;
      const from = greaterThan.case === "gte" ? `from ${seconds(greaterThan.value)}` : "";
      const to = lessThan.case === "lte" ? `to ${seconds(lessThan.value)}` : "";
      return from || to ? { "x-bounds": `${from} ${to}`.trim() } : {};
    }
    default:
      return {};
  }
}

interface Bound {
  case?: string | undefined;
  value?: number | bigint | undefined;
}

function rangeOf(from: Bound, to: Bound): JsonObject {
  return withoutUndefined({
    minimum: from.case === "gte" ? Number(from.value) : undefined,
    exclusiveMinimum: from.case === "gt" ? Number(from.value) : undefined,
    maximum: to.case === "lte" ? Number(to.value) : undefined,
    exclusiveMaximum: to.case === "lt" ? Number(to.value) : undefined,
  });
}

function seconds(duration: Duration): string {
  return `${durationMs(duration) / 1000}s`;
}

export function withoutUndefined(object: Record<string, JsonObject[string] | undefined>): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as JsonObject;
}
