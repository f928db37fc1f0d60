import { type DescField, type DescMessage, isFieldSet, type Message } from "@bufbuild/protobuf";
import { setField } from "../json/json-reader.ts";
import { readField } from "../json/json-writer.ts";

/*
 * HTML Living Standard, 9.2: the id of an event comes back as Last-Event-ID when a client that was cut off asks again. A
 * stream whose messages have a field `resume_token` takes part in it: that is the id, and the request's field of that
 * name is what comes back. One without has no ids, since it could not go on from them.
 */
export const tokenName = "resume_token";
export const bookmarksName = "bookmarks";

/** What makes a request go on where the client was cut off. That is later than where its URL says that it began. */
export function resumeFrom(desc: DescMessage, request: Message, lastEventId: string | string[] | undefined): void {
  const field = textNamed(desc, tokenName);
  if (field && typeof lastEventId === "string" && lastEventId !== "") setField(request, field, lastEventId);
}

/** Has a stream of events tell its place also where there is nothing else to tell: as an id, it costs a client nothing. */
export function askForBookmarks(desc: DescMessage, request: Message): void {
  const field = desc.fields.find(({ name, fieldKind }) => name === bookmarksName && fieldKind === "scalar");
  if (field) setField(request, field, true);
}

/** The id of a message as an event; undefined when it has none. */
export function eventIdOf(desc: DescMessage, message: Message): string | undefined {
  const field = textNamed(desc, tokenName);
  return field && isFieldSet(message, field) ? String(readField(message, field)) : undefined;
}

/** Whether a message says where its stream is, and nothing else. */
export function isBookmark(desc: DescMessage, message: Message): boolean {
  return desc.fields.every((field) => isFieldSet(message, field) === (field.name === tokenName));
}

function textNamed(desc: DescMessage, wanted: string): DescField | undefined {
  return desc.fields.find(({ name, fieldKind }) => name === wanted && fieldKind === "scalar");
}
