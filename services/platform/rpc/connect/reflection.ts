import { createRegistry, type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import { Code } from "../../../../gen/google/rpc/code_pb.ts";
import { file_google_rpc_error_details } from "../../../../gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../../../../gen/google/rpc/status_pb.ts";
import { ServerReflection, type ServerReflectionRequest } from "../../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";

// A question is a name.
const readMaxBytes = 64 * 1024;

/**
 * Server reflection for clients of Connect, gRPC-Web and gRPC on the port of HTTP, so that they need no proto files. It
 * streams both ways, and so needs HTTP/2. The native port has the package of grpc-js for it, which is bound to that.
 */
export function addReflection(router: ConnectRouter, services: readonly DescService[]): void {
  const answer = createAnswers([...services, ServerReflection]);
  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
    for await (const request of requests)
      yield { validHost: request.host, originalRequest: request, ...answer(request) };
  }
  router.service(ServerReflection, { serverReflectionInfo }, { readMaxBytes });
  // The same messages under the name that older clients know.
  router.service(ServerReflectionAlpha, { serverReflectionInfo: serverReflectionInfo as never }, { readMaxBytes });
}

function createAnswers(services: readonly DescService[]) {
  const files = new Map<string, DescFile>();
  const collect = (file: DescFile) => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    for (const dependency of file.dependencies) collect(dependency);
  };
  for (const { file } of services) collect(file);
  // No service names them, and yet a client meets them in each error.
  for (const file of [file_google_rpc_status, file_google_rpc_error_details]) collect(file);
  const registry = createRegistry(...files.values());

  /** Of a method, a field or a value the parent is known. */
  const fileOf = (symbol: string): DescFile | undefined => {
    const found = registry.get(symbol) ?? registry.get(symbol.slice(0, Math.max(0, symbol.lastIndexOf("."))));
    return found?.file;
  };
  /** Clients ask with the dot in front that descriptors have, and without. */
  const bare = (typeName: string) => typeName.replace(/^\./, "");
  const extensionsOf = (typeName: string) =>
    [...registry].flatMap((one) => (one.kind === "extension" && one.extendee.typeName === bare(typeName) ? [one] : []));
  const fileAnswer = (file: DescFile | undefined) => (file ? withImports(file) : notFound);

  return ({ messageRequest: { case: kind, value } }: ServerReflectionRequest) => {
    switch (kind) {
      case "listServices":
        return answerOf("listServicesResponse", { service: services.map(({ typeName }) => ({ name: typeName })) });
      case "fileByFilename":
        return fileAnswer(files.get(value));
      case "fileContainingSymbol":
        return fileAnswer(fileOf(value));
      case "fileContainingExtension":
        return fileAnswer(
          extensionsOf(value.containingType).find(({ number }) => number === value.extensionNumber)?.file,
        );
      case "allExtensionNumbersOfType": {
        if (registry.getMessage(bare(value)) === undefined) return notFound;
        const extensionNumber = extensionsOf(value).map(({ number }) => number);
        return answerOf("allExtensionNumbersResponse", { baseTypeName: value, extensionNumber });
      }
      default:
        return answerOf("errorResponse", { errorCode: Code.INVALID_ARGUMENT, errorMessage: "nothing is asked for" });
    }
  };
}

function answerOf<K extends string, V>(kind: K, value: V) {
  return { messageResponse: { case: kind, value } };
}

const notFound = answerOf("errorResponse", {
  errorCode: Code.NOT_FOUND,
  errorMessage: "there is no such file or symbol",
});

/** The file first, then all that it imports. */
function withImports(file: DescFile) {
  // A set goes on to what is added while it is walked.
  const files = new Set([file]);
  for (const each of files) for (const imported of each.dependencies) files.add(imported);
  const fileDescriptorProto = [...files].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return answerOf("fileDescriptorResponse", { fileDescriptorProto });
}
