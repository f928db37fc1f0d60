import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";

/**
 * Server reflection (v1 and v1alpha), so that grpcurl needs no proto files.
 *
 * The package wants what proto-loader makes of .proto files; of that it reads
 * only the serialised file descriptors, and those we have. Health is described
 * by ours, too: what proto-loader makes of its proto names a map entry in a way
 * that clients in Go refuse.
 */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const described = [...services, Health];
  const files = new Map<string, Buffer>();
  for (const { file } of described) collectFiles(file, files);
  const definition = { files: { fileDescriptorProtos: [...files.values()] } };
  new ReflectionService(definition as unknown as ConstructorParameters<typeof ReflectionService>[0], {
    services: described.map(({ typeName }) => typeName),
  }).addToServer(server);
}

function collectFiles(file: DescFile, files: Map<string, Buffer>): void {
  const name = file.proto.name;
  if (files.has(name)) return;
  files.set(name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
  for (const dependency of file.dependencies) collectFiles(dependency, files);
}
