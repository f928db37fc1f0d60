import { create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { invalidField, RpcError } from "../errors/rpc-error.ts";
import { setField } from "../json/json-reader.ts";
import { readField } from "../json/json-writer.ts";
import type { RestRoute } from "./rest-routes.ts";

// RFC 9110, sections 8.8.3 and 13.1. A message that has a field of this name says with it which state of a thing it is
// (AIP-154): in an answer it becomes the ETag, in a request If-Match sets it.
const etagName = "etag";

/** The entity tags of a header. */
interface Tags {
  /** "*": whatever there is. */
  any: boolean;
  strong: readonly string[];
  weak: readonly string[];
}

// Two runs of spaces must not meet: a long one would be divided between them in each way that there is.
const tagPattern = /\s*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*)?(?:,|$)/gy;

function tagsOf(header: string, name: string): Tags {
  if (header.trim() === "*") return { any: true, strong: [], weak: [] };
  const strong: string[] = [];
  const weak: string[] = [];
  let end = 0;
  for (const [text, isWeak, tag] of header.matchAll(tagPattern)) {
    end += text.length;
    if (tag !== undefined) (isWeak ? weak : strong).push(tag);
  }
  if (end < header.length || strong.length + weak.length === 0) {
    throw invalidField(name, 'expected * or entity tags in quotes, such as "1-2"', "MALFORMED_REQUEST");
  }
  return { any: false, strong, weak };
}

/** The entity tag of what an answer shows; undefined when that has none. */
export function entityTagOf(answer: Message, desc: DescMessage): string | undefined {
  const field = etagOf(desc);
  return field && String(readField(answer, field));
}

/** Whether the one who asks has this state already, by If-None-Match. */
export function isKnown(entityTag: string, ifNoneMatch: string): boolean {
  const { any, strong, weak } = tagsOf(ifNoneMatch, "If-None-Match");
  return any || strong.includes(entityTag) || weak.includes(entityTag);
}

/** Throws ABORTED when a read thing is not in the state that If-Match names. */
export function checkRead(entityTag: string | undefined, ifMatch: string): void {
  const { any, strong } = tagsOf(ifMatch, "If-Match");
  if (entityTag === undefined) throw unsupported("If-Match");
  if (!any && !strong.includes(entityTag)) throw mismatch();
}

/**
 * Has a request that writes say which state it is for, by If-Match. One that cannot say so is refused: the write would
 * happen whatever the header says.
 */
export function guardWrite(route: RestRoute, request: Message, headers: Conditions): void {
  if (headers["if-none-match"] !== undefined) throw unsupported("If-None-Match");
  const ifMatch = headers["if-match"];
  if (ifMatch === undefined) return;
  const { any, strong } = tagsOf(ifMatch, "If-Match");
  const place = placeOfEtag(route, request);
  if (!place) throw unsupported("If-Match");
  // That there is such a thing at all is looked at in any case, unless it would be made (AIP-134).
  if (any) return dropAllowMissing(route, request);
  const [tag, ...others] = strong;
  // A weak one never matches what is to be written, and an empty one is that of nothing: to the method it would be none.
  if (tag === undefined || tag === "") throw mismatch();
  if (others.length > 0) throw invalidField("If-Match", "takes one entity tag here", "PRECONDITION_UNSUPPORTED");
  const given = readField(place.owner, place.field);
  if (given !== "" && given !== tag) throw invalidField(etagName, "is not the one in If-Match");
  setField(place.owner, place.field, tag);
}

/** The headers of a request that are looked at here. */
export interface Conditions {
  readonly "if-match"?: string | undefined;
  readonly "if-none-match"?: string | undefined;
}

/** In the request, or in the thing that is its body and that the path names: one that is made has no state yet. */
function placeOfEtag({ body, method, template }: RestRoute, request: Message) {
  const own = etagOf(method.desc.input);
  if (own) return { owner: request, field: own };
  if (body === undefined || body === "*" || !body.message) return undefined;
  const field = etagOf(body.message);
  if (!field || !template.variables.some((name) => name.startsWith(`${body.name}.`))) return undefined;
  let owner = readField(request, body) as Message | undefined;
  if (owner === undefined) {
    owner = create(body.message);
    setField(request, body, owner);
  }
  return { owner, field };
}

/** "*" asks for a thing that is there. */
function dropAllowMissing({ method }: RestRoute, request: Message): void {
  const field = method.desc.input.fields.find(({ name }) => name === "allow_missing");
  if (field) setField(request, field, false);
}

function etagOf(desc: DescMessage): DescField | undefined {
  return desc.fields.find(({ name, fieldKind }) => name === etagName && fieldKind === "scalar");
}

function mismatch(): RpcError {
  return new RpcError("ABORTED", "If-Match: it has changed since it was read: read it again and repeat", {
    reason: "ETAG_MISMATCH",
  });
}

function unsupported(header: string): RpcError {
  return invalidField(header, "is not taken by this method: nothing was done", "PRECONDITION_UNSUPPORTED");
}
