import { create, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import { FieldBehavior } from "../../../../gen/google/api/field_behavior_pb.ts";
import { invalidField, RpcError } from "../errors/rpc-error.ts";
import { findField, isThereTwice, join, readMessage, readSingle, setField, unknownField } from "../json/json-reader.ts";
import { parseJson } from "../json/json-syntax.ts";
import { readField } from "../json/json-writer.ts";
import { hasBehavior } from "./field-behavior.ts";
import type { RestMatch, RestRoute } from "./rest-routes.ts";

/**
 * Puts a request message together from body, path and query, as
 * google/api/http.proto describes it. Throws INVALID_ARGUMENT.
 */
export function transcodeRequest(match: RestMatch, query: URLSearchParams, body: Buffer): Message {
  const { route, values } = match;
  const desc = route.method.desc.input;
  const json = route.body === undefined || isBlank(body) ? undefined : parseJson(body);
  if (route.body === undefined && !isBlank(body)) {
    throw new RpcError("INVALID_ARGUMENT", "this method takes no body", { reason: "UNEXPECTED_BODY" });
  }
  const request = startWithBody(route, desc, json);
  for (const [index, name] of route.template.variables.entries()) {
    setFromPath(desc, request, name, decodeSegment(values[index] ?? "", name));
  }
  const names = new Map<string, string>();
  for (const [name, items] of group(query)) {
    const path = setFromQuery(route, desc, request, name, items, json);
    const other = names.get(path);
    if (other !== undefined) throw isThereTwice(path, other, name);
    names.set(path, name);
  }
  deriveUpdateMask(route, desc, request, json);
  return request;
}

function isBlank(body: Buffer): boolean {
  return body.length === 0 || (body.length < 64 && body.toString().trim() === "");
}

function startWithBody(route: RestRoute, desc: DescMessage, json: unknown): Message {
  if (json === undefined || route.body === undefined) return create(desc);
  if (route.body === "*") return readMessage(desc, json);
  const request = create(desc);
  const { message, name } = route.body;
  setField(request, route.body, message ? readMessage(message, json, name) : readSingle(route.body, json, name));
  return request;
}

/** Sets a field that a path variable names; what the body says about it must be the same. */
function setFromPath(desc: DescMessage, request: Message, name: string, text: string): void {
  const { owner, field } = locate(desc, request, name);
  const value = readSingle(field, fromText(field, text), name);
  const present = readField(owner, field);
  const isUnset = present === undefined || present === "" || present === 0;
  if (!isUnset && present !== value && !namesByOther(field, text)) {
    throw invalidField(name, "is not the one in the path");
  }
  setField(owner, field, value);
}

/**
 * Whether a path names a thing by another field of it, as `key=…`. What the server made is no other name for it then: a
 * client sends back what it got.
 */
function namesByOther(field: DescField, text: string): boolean {
  const other = /^(\w+)=/.exec(text)?.[1];
  const isField = other !== undefined && field.parent.fields.some(({ name }) => name === other);
  return isField && hasBehavior(field, FieldBehavior.OUTPUT_ONLY);
}

/** Tells the field's path, of which a client may know two names. */
function setFromQuery(
  route: RestRoute,
  desc: DescMessage,
  request: Message,
  name: string,
  items: string[],
  json: unknown,
): string {
  const { owner, field, path } = locate(desc, request, name);
  const top = path.split(".")[0];
  // http.proto leaves no parameters to a method whose body is the whole request. A client that has nothing else to say
  // puts a request_id there all the same, and there is no doubt about what it means.
  const isInBody = route.body === "*" && Object.keys(json ?? {}).some((key) => findField(desc, key)?.name === top);
  if (isInBody) throw invalidField(path, "is in the body and in the query", "DUPLICATE_FIELD");
  const isBody = route.body !== undefined && route.body !== "*" && route.body.name === top;
  if (isBody || route.template.variables.includes(path)) {
    throw unknownParameter(name);
  }
  const values = items.map((item) => readSingle(field, fromText(field, item), path));
  if (field.fieldKind === "map") throw unknownParameter(name);
  if (field.fieldKind !== "list" && values.length > 1) {
    throw invalidField(path, "is there more than once", "DUPLICATE_FIELD");
  }
  setField(owner, field, field.fieldKind === "list" ? values : values[0]);
  return path;
}

function unknownParameter(name: string): RpcError {
  return invalidField(name, "is not a query parameter of this method", "UNKNOWN_FIELD");
}

/** Walks a dotted field path, making the messages on its way. */
function locate(desc: DescMessage, request: Message, name: string) {
  let owner = request;
  let current = desc;
  let path = "";
  const keys = name.split(".");
  for (const [index, key] of keys.entries()) {
    const field = findField(current, key);
    if (!field) throw unknownField(current, key, path);
    path = join(path, field.name);
    if (index === keys.length - 1) return { owner, field, path };
    if (field.fieldKind !== "message") throw unknownField(current, keys.slice(index).join("."), "");
    let next = readField(owner, field) as Message | undefined;
    if (next === undefined) {
      next = create(field.message);
      setField(owner, field, next);
    }
    owner = next;
    current = field.message;
  }
  throw new Error("a name has at least one part");
}

/** Numbers stay text: the reader takes digits. */
function fromText(field: DescField, text: string): unknown {
  if (field.scalar === ScalarType.BOOL && (text === "true" || text === "false")) return text === "true";
  if (field.enum && /^\d+$/.test(text)) return Number(text);
  return text;
}

function decodeSegment(raw: string, name: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    throw invalidField(name, "is not valid percent-encoding", "MALFORMED_REQUEST");
  }
}

function group(query: URLSearchParams): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const [name, value] of query) groups.set(name, [...(groups.get(name) ?? []), value]);
  return groups;
}

/**
 * A PATCH without update_mask changes what its body names, `null` and defaults
 * included (those clear a field); of a message it changes what is named in
 * there. Output-only fields and the etag (AIP-154) are no change: clients send
 * back what they got.
 */
function deriveUpdateMask(route: RestRoute, desc: DescMessage, request: Message, json: unknown): void {
  const { body } = route;
  if (route.verb !== "PATCH" || body === undefined || body === "*" || !body.message) return;
  const mask = desc.fields.find(({ message }) => message?.typeName === FieldMaskSchema.typeName);
  if (!mask || readField(request, mask) !== undefined) return;
  const paths = pathsIn(body.message, json, "").filter((path) => path !== etagName);
  if (paths.length > 0) setField(request, mask, create(FieldMaskSchema, { paths }));
}

const etagName = "etag";

function pathsIn(desc: DescMessage, json: unknown, path: string): string[] {
  return Object.entries(json ?? {}).flatMap(([key, value]) => {
    const field = findField(desc, key);
    if (!field || hasBehavior(field, FieldBehavior.OUTPUT_ONLY)) return [];
    const name = join(path, field.name);
    // Durations, timestamps and the like are values, though they are messages.
    const isWhole = field.fieldKind !== "message" || field.message.typeName.startsWith("google.protobuf.");
    return isWhole || value === null ? [name] : pathsIn(field.message, value, name);
  });
}
