import { createFileRegistry, fromBinary, getOption, hasOption, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { credentials, loadPackageDefinition, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { file_carillon_v1_execution } from "../../../gen/carillon/v1/execution_pb.ts";
import { file_carillon_v1_job, JobService } from "../../../gen/carillon/v1/job_pb.ts";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { formatAddress } from "../../../services/platform/process/environment.ts";
import { createGrpcServer, type GrpcServer } from "../../../services/platform/rpc/grpc/grpc-server.ts";
import { createFakeBackend } from "../../support/faces-service.ts";
import { type FrontDoor, startFrontDoor } from "../../support/front-door.ts";

const protos = new URL("../../../node_modules/@grpc/reflection/build/proto/grpc/reflection/", import.meta.url).pathname;
const address = { host: "127.0.0.1", port: 0 };
let server: GrpcServer;
let door: FrontDoor;

beforeAll(async () => {
  const { services } = createFakeBackend();
  server = createGrpcServer({ address }, { services, log: pino({ level: "silent" }), clock: systemClock });
  await server.start();
  door = await startFrontDoor();
});
afterAll(async () => {
  await server.stop();
  await door.server.stop();
});

// biome-ignore lint/suspicious/noExplicitAny: loaded at run time, as a stranger's client would
type Loaded = any;

/** Asks over one stream, as clients do, and reads the answers in order. */
async function askAt(port: string, version: string, requests: object[]): Promise<Loaded[]> {
  const loaded: Loaded = loadPackageDefinition(
    loadSync(`${protos}${version}/reflection.proto`, { oneofs: true, defaults: false }),
  );
  const { ServerReflection } = loaded.grpc.reflection[version];
  const client = new ServerReflection(
    formatAddress((port === "gRPC" ? server : door.server).address()),
    credentials.createInsecure(),
  );
  try {
    return await new Promise<Loaded[]>((resolve, reject) => {
      const answers: Loaded[] = [];
      const stream = client.serverReflectionInfo();
      stream.on("data", (answer: Loaded) => answers.push(answer));
      stream.on("end", () => resolve(answers));
      stream.on("error", (error: ServiceError) => reject(error));
      for (const request of requests) stream.write(request);
      stream.end();
    });
  } finally {
    client.close();
  }
}

function filesOf(answer: Loaded): FileDescriptorProto[] {
  const bytes: Uint8Array[] = answer.fileDescriptorResponse.fileDescriptorProto;
  return bytes.map((file) => fromBinary(FileDescriptorProtoSchema, file));
}

describe.each([
  ["v1", "gRPC"],
  ["v1alpha", "gRPC"],
  ["v1", "HTTP"],
  ["v1alpha", "HTTP"],
])("reflection %s at the port of %s", (version, port) => {
  const ask = (...requests: object[]) => askAt(port, version, requests);

  test("sends each file as it was written, options included, with all that it imports", async () => {
    const symbols = ["carillon.v1.JobService", "carillon.v1.ExecutionService.WatchExecutions"];
    const answers = await ask(...symbols.map((fileContainingSymbol) => ({ fileContainingSymbol })));
    const [jobs, executions] = answers.map(filesOf);
    for (const [sent, original] of [
      [jobs?.[0], file_carillon_v1_job.proto],
      [executions?.[0], file_carillon_v1_execution.proto],
    ] as const) {
      const bytes = toBinary(FileDescriptorProtoSchema, sent as FileDescriptorProto);
      expect(Buffer.from(bytes).equals(toBinary(FileDescriptorProtoSchema, original))).toBe(true);
    }
    // It throws when an import is missing.
    const byName = (name: string) => jobs?.find((file) => file.name === name);
    const registry = createFileRegistry(byName("carillon/v1/job.proto") as FileDescriptorProto, byName);
    const method = registry.getService(JobService.typeName)?.method.createJob;
    if (!method) throw new Error("CreateJob is not described");
    expect(hasOption(method, http)).toBe(true);
    expect(getOption(method, http).pattern).toEqual({ case: "post", value: "/jobs" });
  });

  test("finds the options that extend the descriptors, as clients ask for them", async () => {
    const containingType = "google.protobuf.MethodOptions";
    const request = { fileContainingExtension: { containingType, extensionNumber: 72295728 } };
    const [file, dotted, numbers] = await ask(
      request,
      { fileContainingExtension: { containingType: `.${containingType}`, extensionNumber: 72295728 } },
      { allExtensionNumbersOfType: containingType },
    );
    expect(filesOf(file)[0]?.name).toBe("google/api/annotations.proto");
    expect(file.originalRequest).toMatchObject(request);
    expect(filesOf(dotted)[0]?.name).toBe("google/api/annotations.proto");
    expect(numbers.allExtensionNumbersResponse.baseTypeName).toBe(containingType);
    expect(numbers.allExtensionNumbersResponse.extensionNumber).toContain(72295728);
  });

  test("describes what errors carry", async () => {
    const symbols = ["Status", "ErrorInfo", "BadRequest", "RetryInfo"].map((name) => `google.rpc.${name}`);
    const answers = await ask(...symbols.map((fileContainingSymbol) => ({ fileContainingSymbol })));
    expect(answers.map((answer) => filesOf(answer)[0]?.package)).toEqual(symbols.map(() => "google.rpc"));
  });

  test("knows no name that only JavaScript knows", async () => {
    const names = ["toString", "__proto__", "constructor", "nope", ""];
    const answers = await ask(
      ...names.map((fileContainingSymbol) => ({ fileContainingSymbol })),
      ...names.map((fileByFilename) => ({ fileByFilename })),
      ...names.map((allExtensionNumbersOfType) => ({ allExtensionNumbersOfType })),
    );
    expect(answers.map(({ errorResponse }) => errorResponse?.errorCode)).toEqual(answers.map(() => 5));
    expect(answers).toHaveLength(15);
  });
});
