import type { DescEnum, DescField, DescFile, DescMessage, DescMethod, DescService } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

type Documented = DescMessage | DescField | DescEnum | DescEnum["values"][number] | DescService | DescMethod;

/** The comment above a definition in its .proto file; empty when there is none. */
export type CommentOf = (desc: Documented) => string;

/**
 * Reads comments from a descriptor set with source information, as
 * `buf build -o` writes it: the generated code has none.
 */
export function readComments(descriptorSet: Uint8Array): CommentOf {
  const comments = new Map<string, string>();
  for (const file of fromBinary(FileDescriptorSetSchema, descriptorSet).file) {
    for (const { path, leadingComments } of file.sourceCodeInfo?.location ?? []) {
      if (leadingComments.trim() !== "") comments.set(`${file.name} ${path.join(".")}`, tidy(leadingComments));
    }
  }
  return (desc) => comments.get(`${fileOf(desc).proto.name} ${pathOf(desc).join(".")}`) ?? "";
}

/** A line break inside a paragraph is where the editor wrapped it. */
function tidy(comment: string): string {
  const lines = comment.split("\n").map((line) => line.trim());
  return lines
    .join("\n")
    .trim()
    .replace(/([^\n])\n(?=[^\n])/g, "$1 ");
}

function fileOf(desc: Documented): DescFile {
  if (desc.kind === "field" || desc.kind === "enum_value" || desc.kind === "rpc") return desc.parent.file;
  return desc.file;
}

// Field numbers of google/protobuf/descriptor.proto, which locations are made of.
const fileMessages = 4;
const fileEnums = 5;
const fileServices = 6;
const messageFields = 2;
const messageMessages = 3;
const messageEnums = 4;
const enumValues = 2;
const serviceMethods = 2;

function pathOf(desc: Documented): number[] {
  switch (desc.kind) {
    case "message":
      return desc.parent
        ? [...pathOf(desc.parent), messageMessages, desc.parent.proto.nestedType.indexOf(desc.proto)]
        : [fileMessages, desc.file.proto.messageType.indexOf(desc.proto)];
    case "enum":
      return desc.parent
        ? [...pathOf(desc.parent), messageEnums, desc.parent.proto.enumType.indexOf(desc.proto)]
        : [fileEnums, desc.file.proto.enumType.indexOf(desc.proto)];
    case "service":
      return [fileServices, desc.file.proto.service.indexOf(desc.proto)];
    case "field":
      return [...pathOf(desc.parent), messageFields, desc.parent.proto.field.indexOf(desc.proto)];
    case "enum_value":
      return [...pathOf(desc.parent), enumValues, desc.parent.proto.value.indexOf(desc.proto)];
    case "rpc":
      return [...pathOf(desc.parent), serviceMethods, desc.parent.proto.method.indexOf(desc.proto)];
  }
}
