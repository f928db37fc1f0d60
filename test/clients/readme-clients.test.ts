import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { haveFromDebian, installFromDebian } from "../support/debian.ts";
import { repositoryDir } from "../support/nats.ts";
import { type RestClient, restClient } from "../support/rest.ts";
import { type System, startSystem } from "../support/system.ts";

const run = promisify(execFile);
const packages = (
  "golang-go golang-google-grpc-dev golang-google-genproto-dev golang-github-golang-protobuf-1-5-dev " +
  "protoc-gen-go protoc-gen-go-grpc protobuf-compiler protobuf-compiler-grpc python3-grpcio"
).split(" ");
const readme = await readFile(join(repositoryDir, "README.md"), "utf8");

/** The code blocks of a section of README.md, by language. */
function blocksOf(section: string): Map<string, string> {
  const text = readme.split(/^### /m).find((one) => one.startsWith(`${section}\n`)) ?? "";
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)];
  return new Map(blocks.map(([, language = "", code = ""]) => [language, code]));
}

// The machine's own Node, and not that of npm's scripts; Debian's Python before any other.
const path = ["/usr/bin", ...(process.env.PATH ?? "").split(delimiter).filter((dir) => !dir.includes("node_modules"))];

describe("what README.md says of clients, as it stands there and in an empty folder", { timeout: 300_000 }, () => {
  let system: System;
  let rest: RestClient;
  let folder: string;

  beforeAll(async () => {
    if (!(await haveFromDebian(packages))) await installFromDebian(packages, console.log);
    system = await startSystem();
    rest = restClient(system.httpUrl);
  }, 600_000);
  afterAll(() => system.stop());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "carillon-client-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const shell = async (lines: string) => {
    const env = { HOME: folder, REPO: repositoryDir, PATH: [dirname(realNode()), ...path].join(delimiter) };
    const { stdout } = await run("bash", ["-ec", lines], { cwd: folder, env, maxBuffer: 16 * 1024 * 1024 });
    return stdout.trimEnd().split("\n").at(-1) ?? "";
  };

  it.each([
    { section: "TypeScript", language: "ts", file: "client.mts", schedule: "0 9 * * MON-FRI" },
    { section: "Go", language: "go", file: "client.go", schedule: "*/5 * * * * *" },
    { section: "Python", language: "python", file: "client.py", schedule: "*/5 * * * * *" },
  ])("makes a client in $section that creates a job and reads its executions", async ({
    section,
    language,
    file,
    schedule,
  }) => {
    const blocks = blocksOf(section);
    const code = blocks.get(language) ?? "";
    expect(code).toContain(file);
    const here = code.replace("http://127.0.0.1:8080", system.httpUrl).replace("127.0.0.1:9090", system.grpcAddr);
    await writeFile(join(folder, file), here);
    const [jobId = "", executions] = (await shell(blocks.get("sh") ?? "false")).split(" ");
    expect((await rest.get(`/jobs/${jobId}`)).body).toMatchObject({ job_id: jobId, schedule });
    expect(executions).toBe("0");
  });

  it.each([
    { language: "java", made: "carillon/v1/Job.java", says: "package carillon.v1;" },
    { language: "csharp", made: "Job.cs", says: "namespace Carillon.V1 {" },
    { language: "ruby", made: "carillon/v1/job_pb.rb", says: "module Carillon\n  module V1" },
    { language: "php", made: "Carillon/V1/Job.php", says: "namespace Carillon\\V1;" },
  ])("generates $language without flags, under a name of its own", async ({ language, made, says }) => {
    await mkdir(join(folder, "out"));
    await shell(`protoc -I"$REPO/proto" -I"$REPO/third_party" --${language}_out=out "$REPO"/proto/carillon/v1/*.proto`);
    expect((await readdir(join(folder, "out"))).length).toBeGreaterThan(0);
    expect(await readFile(join(folder, "out", made), "utf8")).toContain(says);
  });
});

/** A Node of the machine, where there is one beside that of the packages. */
function realNode(): string {
  const found = path.map((dir) => join(dir, "node")).find((file) => existsSync(file));
  return found ?? process.execPath;
}
