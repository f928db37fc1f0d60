import { type DescFile, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import {
  ResponderBuilder,
  type Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { file_google_rpc_error_details } from "../../../../gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../../../../gen/google/rpc/status_pb.ts";
import { Health } from "../../../../gen/grpc/health/v1/health_pb.ts";

/** Server reflection (v1 and v1alpha), so that grpcurl needs no proto files. */
export interface Reflection {
  /** Must be among the server's interceptors: it puts the answers right. */
  readonly interceptor: ServerInterceptor;
  addTo(server: Server): void;
}

/**
 * The package keeps the protocol and looks names up. Three things it does not do
 * well, and they are put right on the way in and out:
 *
 * - It sends files as protobufjs decoded and wrote them again: without the
 *   options that it does not know, which are the HTTP routes and the rules of
 *   fields. Ours go out in their place, with all that they import.
 * - It knows the extended types by `.google.protobuf.MethodOptions`; clients
 *   ask without the dot.
 * - It finds `toString` and `constructor`, and sends an empty file for them.
 */
export function createReflection(services: readonly DescService[]): Reflection {
  const described = [...services, Health];
  const files = new Map<string, SerialisedFile>();
  for (const { file } of described) collectFiles(file, files);
  // No service names them, and yet a client meets them in each error.
  for (const file of [file_google_rpc_status, file_google_rpc_error_details]) collectFiles(file, files);
  return {
    interceptor: correcting(files),
    addTo(server) {
      // The package wants what proto-loader makes of .proto files; of that it
      // reads only the serialised file descriptors, and those we have.
      const definition = { files: { fileDescriptorProtos: [...files.values()].map(({ bytes }) => bytes) } };
      new ReflectionService(definition as unknown as ConstructorParameters<typeof ReflectionService>[0], {
        services: described.map(({ typeName }) => typeName),
      }).addToServer(server);
    },
  };
}

interface SerialisedFile {
  readonly bytes: Buffer;
  readonly imports: readonly string[];
}

function collectFiles(file: DescFile, files: Map<string, SerialisedFile>): void {
  const { name } = file.proto;
  if (files.has(name)) return;
  files.set(name, {
    bytes: Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
    imports: file.dependencies.map(({ proto }) => proto.name),
  });
  for (const dependency of file.dependencies) collectFiles(dependency, files);
}

/** What we touch of grpc.reflection.v1 and v1alpha, which are the same on the wire, as the package reads them. */
interface ReflectionRequest {
  fileContainingExtension?: { containingType: string; extensionNumber: number };
  allExtensionNumbersOfType?: string;
}

interface ReflectionResponse {
  originalRequest: ReflectionRequest;
  messageResponse?: string;
  fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] };
  allExtensionNumbersResponse?: { baseTypeName: string };
  errorResponse?: { errorCode: number; errorMessage: string };
}

const reflectionPath = /^\/grpc\.reflection\.v1(alpha)?\.ServerReflection\//;

function correcting(files: ReadonlyMap<string, SerialisedFile>): ServerInterceptor {
  return ({ path }, call) => {
    // A call of its own for each of the others would only cost time.
    if (!reflectionPath.test(path)) return call as ServerInterceptingCall;
    const asked = new WeakMap<ReflectionRequest, ReflectionRequest>();
    const listener = new ServerListenerBuilder()
      .withOnReceiveMessage((request: ReflectionRequest, next) => {
        const dotted = withDots(request);
        asked.set(dotted, request);
        next(dotted);
      })
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendMessage((response: ReflectionResponse, next) => {
        const originalRequest = asked.get(response.originalRequest) ?? response.originalRequest;
        next({ ...corrected(response, files), originalRequest });
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}

function withDots(request: ReflectionRequest): ReflectionRequest {
  const { fileContainingExtension: extension, allExtensionNumbersOfType: type } = request;
  return {
    ...request,
    ...(extension && {
      fileContainingExtension: { ...extension, containingType: withDot(extension.containingType) },
    }),
    ...(type !== undefined && { allExtensionNumbersOfType: withDot(type) }),
  };
}

function withDot(typeName: string): string {
  return typeName.startsWith(".") ? typeName : `.${typeName}`;
}

function corrected(response: ReflectionResponse, files: ReadonlyMap<string, SerialisedFile>): ReflectionResponse {
  const { allExtensionNumbersResponse: numbers } = response;
  if (numbers) {
    return { ...response, allExtensionNumbersResponse: { ...numbers, baseTypeName: numbers.baseTypeName.slice(1) } };
  }
  const { fileDescriptorResponse, ...rest } = response;
  if (!fileDescriptorResponse) return response;
  const [found] = fileDescriptorResponse.fileDescriptorProto;
  const { name } = fromBinary(FileDescriptorProtoSchema, found ?? new Uint8Array());
  if (!files.has(name)) {
    return { ...rest, errorResponse: { errorCode: status.NOT_FOUND, errorMessage: "there is no such file or symbol" } };
  }
  return { ...rest, fileDescriptorResponse: { fileDescriptorProto: withImports(name, files) } };
}

/** The file first, then all that it imports. */
function withImports(name: string, files: ReadonlyMap<string, SerialisedFile>): Buffer[] {
  // A set goes on to what is added while it is walked.
  const names = new Set([name]);
  for (const each of names) for (const imported of files.get(each)?.imports ?? []) names.add(imported);
  return [...names].flatMap((each) => files.get(each)?.bytes ?? []);
}
