import type { FieldViolation } from "./field-violation.ts";

// gRPC carries errors in trailers, and many clients take no more than 8 KiB of
// them: the message percent-encoded, and once more beside the details in base64,
// which makes four bytes of three. So 2048 + 4/3 * (1024 + 2560 + 512) bytes at
// most, and room for the names. A client that sent a thousand bad fields can do
// with the first ones.
const maxEncodedMessageBytes = 2048;
const maxMessageBytes = 1024;
const maxViolationsBytes = 2560;
const maxMetadataBytes = 512;
const maxPathBytes = 256;
const maxDescriptionBytes = 512;
const maxMetadataValueBytes = 256;
// What protobuf adds to two strings in a message of their own, and to one more.
const framingBytes = 12;
const framingBytesOfOne = 3;

export function boundMessage(message: string): string {
  // Lone surrogates cannot be sent: encodeURI throws on them.
  const text = shorten(message.toWellFormed(), maxMessageBytes, Buffer.byteLength);
  return shorten(text, maxEncodedMessageBytes, (part) => encodeURI(part).length);
}

export function boundViolations(violations: readonly FieldViolation[]): readonly FieldViolation[] {
  const kept: FieldViolation[] = [];
  let bytes = 0;
  for (const violation of violations) {
    const field = shorten(violation.field.toWellFormed(), maxPathBytes, Buffer.byteLength);
    const description = shorten(violation.description.toWellFormed(), maxDescriptionBytes, Buffer.byteLength);
    const reason = violation.reason || undefined;
    bytes += Buffer.byteLength(field) + Buffer.byteLength(description) + framingBytes;
    if (reason !== undefined) bytes += Buffer.byteLength(reason) + framingBytesOfOne;
    if (bytes > maxViolationsBytes) break;
    kept.push({ field, description, ...(reason !== undefined && { reason }) });
  }
  return kept;
}

export function boundMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {};
  let bytes = 0;
  for (const [key, value] of Object.entries(metadata)) {
    const text = shorten(value.toWellFormed(), maxMetadataValueBytes, Buffer.byteLength);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(text) + framingBytes;
    if (bytes > maxMetadataBytes) break;
    kept[key] = text;
  }
  return kept;
}

// Percent-encoded, a UTF-16 unit takes nine bytes at most; in UTF-8 three.
const mostBytesOfUnit = 9;
const ellipsis = "…";

/** Cuts between characters, so that the text takes no more than `maxBytes` as `sizeOf` counts. */
function shorten(text: string, maxBytes: number, sizeOf: (part: string) => number): string {
  if (text.length * mostBytesOfUnit <= maxBytes) return text;
  if (text.length <= maxBytes && sizeOf(text) <= maxBytes) return text;
  let bytes = sizeOf(ellipsis);
  let end = 0;
  for (const character of text) {
    bytes += sizeOf(character);
    if (bytes > maxBytes) break;
    end += character.length;
  }
  return text.slice(0, end) + ellipsis;
}
