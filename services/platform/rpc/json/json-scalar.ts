import { type DescEnum, ScalarType } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { nearest } from "../../process/environment.ts";
import { invalidField, type RpcError } from "../errors/rpc-error.ts";

/** Reads one scalar as the ProtoJSON mapping has it; 64-bit integers as bigint. Throws INVALID_ARGUMENT. */
export function readScalar(type: ScalarType, json: unknown, path: string): unknown {
  switch (type) {
    case ScalarType.STRING:
      if (typeof json === "string") return json.toWellFormed();
      throw wrongType(path, "a string", json);
    case ScalarType.BOOL:
      if (typeof json === "boolean") return json;
      throw wrongType(path, "true or false", json);
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return Number(readInteger(json, path, -(2n ** 31n), 2n ** 31n - 1n));
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return Number(readInteger(json, path, 0n, 2n ** 32n - 1n));
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return readInteger(json, path, -(2n ** 63n), 2n ** 63n - 1n);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return readInteger(json, path, 0n, 2n ** 64n - 1n);
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return readFloat(json, path);
    case ScalarType.BYTES:
      return readBytes(json, path);
  }
}

// A string of digits counts as well: ProtoJSON writes 64-bit integers so.
function readInteger(json: unknown, path: string, min: bigint, max: bigint): bigint {
  let value: bigint | undefined;
  if (typeof json === "number" && Number.isSafeInteger(json)) value = BigInt(json);
  if (typeof json === "string" && /^-?\d{1,20}$/.test(json)) value = BigInt(json);
  if (value === undefined) throw wrongType(path, "a whole number", json);
  if (value < min || value > max) throw invalidField(path, `must be from ${min} to ${max}`);
  return value;
}

function readFloat(json: unknown, path: string): number {
  if (typeof json === "number") return json;
  if (json === "NaN" || json === "Infinity" || json === "-Infinity") return Number(json);
  if (typeof json === "string" && json.trim() === json && json !== "" && Number.isFinite(Number(json))) {
    return Number(json);
  }
  throw wrongType(path, "a number", json);
}

function readBytes(json: unknown, path: string): Uint8Array {
  if (typeof json !== "string") throw wrongType(path, "a base64 string", json);
  try {
    return base64Decode(json);
  } catch {
    throw invalidField(path, "is not valid base64", wrongTypeReason);
  }
}

/** Reads a value by its short name (ACTIVE), its full name (JOB_STATE_ACTIVE) or its number. */
export function readEnum(desc: DescEnum, json: unknown, path: string): number {
  if (typeof json === "number" && desc.value[json]) return json;
  if (typeof json === "string") {
    const found = desc.values.find(({ name, localName }) => name === json || localName === json);
    if (found) return found.number;
  }
  const names = desc.values.filter(({ number }) => number !== 0).map(({ localName }) => localName);
  const near = typeof json === "string" ? nearest(json.toUpperCase(), names) : undefined;
  if (near !== undefined)
    throw invalidField(path, `unknown value ${show(json)}; did you mean ${near}?`, wrongTypeReason);
  throw wrongType(path, `one of ${names.join(", ")}`, json);
}

const wrongTypeReason = "WRONG_TYPE";

export function wrongType(path: string, expected: string, json: unknown): RpcError {
  // Only a body as a whole has no path.
  if (path === "") return invalidField("", `the body: expected ${expected}, got ${show(json)}`, wrongTypeReason);
  return invalidField(path, `expected ${expected}, got ${show(json)}`, wrongTypeReason);
}

const longestShown = 40;

function show(json: unknown): string {
  if (json === null) return "null";
  if (Array.isArray(json)) return "an array";
  if (typeof json === "object") return "an object";
  const text = JSON.stringify(json) ?? "nothing";
  const short = text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
  return typeof json === "string" ? `the string ${short}` : `the ${typeof json} ${short}`;
}
