import type { DescField, DescMessage, JsonObject } from "@bufbuild/protobuf";
import { FieldBehavior } from "../../../../gen/google/api/field_behavior_pb.ts";
import { StatusSchema } from "../../../../gen/google/rpc/status_pb.ts";
import type { BoundService } from "../call-context.ts";
import { hasBehavior } from "../rest/field-behavior.ts";
import { type RestRoute, routesOf } from "../rest/rest-routes.ts";
import { bookmarksName, tokenName } from "../rest/resumption.ts";
import type { CommentOf } from "./descriptor-comments.ts";
import { type AlwaysSet, createSchemaCollector, type SchemaCollector } from "./openapi-schema.ts";

export interface OpenApiInfo {
  title: string;
  version: string;
  description?: string;
}

/** What the descriptors do not tell. RPCs go by their full names: `carillon.v1.JobService.CreateJob`. */
export interface OpenApiOptions {
  /** Bodies to begin with. */
  examples?: Readonly<Record<string, JsonObject>>;
  /** Messages that are always set in answers. */
  alwaysSet?: AlwaysSet;
  /** RPCs that are in the contract and answer UNIMPLEMENTED. */
  unbuilt?: ReadonlySet<string>;
  /** Whether the server has tokens: without any it asks for none. */
  guarded?: boolean;
}

/**
 * The OpenAPI 3.1 document of the REST face, made from the descriptors that
 * serve it. A form that is filled in from the schema alone has a text in every
 * field, and is refused: hence the examples.
 */
export function describeOpenApi(
  services: readonly BoundService[],
  info: OpenApiInfo,
  commentOf: CommentOf,
  options: OpenApiOptions = {},
): JsonObject {
  const collector = createSchemaCollector(commentOf, options.alwaysSet);
  const paths: Record<string, JsonObject> = {};
  for (const route of routesOf(services)) {
    const path = documentedPath(route);
    paths[path] = { ...paths[path], [route.verb.toLowerCase()]: operationOf(route, collector, commentOf, options) };
  }
  return {
    openapi: "3.1.0",
    info: { ...info, license: { name: "Apache 2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "/" }],
    tags: services.map(({ desc }) => ({ name: desc.name, description: commentOf(desc) })),
    paths,
    components: {
      schemas: { ...collector.schemas, Error: errorSchema },
      responses: {
        Error: {
          description: "A refusal, as google.rpc.Status (AIP-193).",
          content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
        },
      },
      ...(options.guarded && { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } }),
    },
    ...(options.guarded && { security: [{ bearer: [] }] }),
  };
}

/** OpenAPI wants one name for a variable of a path: `{job.job_id}` and `{job_id}` are the same place. */
function documentedPath({ template }: RestRoute): string {
  return template.source.replace(/\{([^}=]+)[^}]*\}/g, (_, name: string) => `{${lastPart(name)}}`);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

function operationOf(
  route: RestRoute,
  collector: SchemaCollector,
  commentOf: CommentOf,
  { examples = {}, unbuilt }: OpenApiOptions,
): JsonObject {
  const { desc } = route.method;
  const name = `${desc.parent.typeName}.${desc.name}`;
  const example = examples[name];
  const comment = commentOf(desc);
  const isUnbuilt = unbuilt?.has(name);
  const says = /^[^.]*\./.exec(comment)?.[0].replace(/\s+/g, " ").slice(0, -1) ?? desc.name;
  return {
    operationId: operationIdOf(route),
    summary: isUnbuilt ? `Not built yet: ${says.charAt(0).toLowerCase()}${says.slice(1)}` : says,
    description: isUnbuilt
      ? `**In this version it answers 501 UNIMPLEMENTED, and does nothing.**\n\n${comment}`
      : comment,
    ...(isUnbuilt && { "x-unimplemented": true }),
    tags: [desc.parent.name],
    parameters: [...pathParameters(route, collector), ...queryParameters(route, collector)],
    ...requestBody(route, collector, example),
    responses: { "200": answerOf(route, collector), default: { $ref: "#/components/responses/Error" } },
  };
}

/** Of a further binding of an RPC: with what its path names, `listThingsByJobId`. */
function operationIdOf({ method: { desc }, template, additional }: RestRoute): string {
  const by = additional ? template.variables.map((name) => `By${capitalised(lastPart(name))}`).join("") : "";
  return desc.name.charAt(0).toLowerCase() + desc.name.slice(1) + by;
}

function capitalised(name: string): string {
  return name.replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase());
}

function pathParameters({ template, method }: RestRoute, collector: SchemaCollector): JsonObject[] {
  return template.variables.map((name) => {
    const { readOnly, ...schema } = collector.field(walk(method.desc.input, name), "request");
    return { name: lastPart(name), in: "path", required: true, ...lifted(schema) };
  });
}

function queryParameters(route: RestRoute, collector: SchemaCollector): JsonObject[] {
  const { body, template, method } = route;
  if (body === "*") return [];
  return method.desc.input.fields
    .filter((field) => field !== body && !template.variables.includes(field.name) && isQueryable(field))
    .map((field) => ({
      name: field.name,
      in: "query",
      required: isRequired(field),
      ...lifted(collector.field(field, "request")),
    }));
}

/** A parameter has its description beside its schema. */
function lifted({ description, ...schema }: JsonObject): JsonObject {
  return description === undefined ? { schema } : { description, schema };
}

/** What fits into a query parameter as one text; the rest is for bodies. */
function isQueryable(field: DescField): boolean {
  if (field.fieldKind === "map") return false;
  return field.message === undefined || field.message.typeName.startsWith("google.protobuf.");
}

function isRequired(field: DescField): boolean {
  return hasBehavior(field, FieldBehavior.REQUIRED);
}

function requestBody(route: RestRoute, collector: SchemaCollector, example: JsonObject | undefined): JsonObject {
  if (route.body === undefined) return {};
  const { required, schema } = bodySchema(route, collector);
  const content = { "application/json": { schema, ...(example && { example }) } };
  return { requestBody: { required, content } };
}

function bodySchema(route: RestRoute, collector: SchemaCollector): { required: boolean; schema: JsonObject } {
  const { body, template, method } = route;
  if (body !== undefined && body !== "*") {
    if (route.verb !== "PATCH" || !body.message) return { required: true, schema: collector.field(body, "request") };
    // A change names what it changes: nothing of the resource is required.
    const { required, ...schema } = collector.object(body.message.fields, "request");
    return { required: true, schema };
  }
  const fields = method.desc.input.fields.filter(({ name }) => !template.variables.includes(name));
  return { required: fields.some(isRequired), schema: collector.object(fields, "request") };
}

function answerOf({ method, responseBody }: RestRoute, collector: SchemaCollector): JsonObject {
  const schema = responseBody ? collector.field(responseBody, "answer") : collector.refer(method.desc.output, "answer");
  if (method.kind === "unary") return { description: "Done.", content: { "application/json": { schema } } };
  const bookmarks = method.desc.input.fields.some(({ name }) => name === bookmarksName);
  return {
    description: "One event, or one line, a message; until the client has had enough.",
    content: {
      "text/event-stream": { schema: { type: "string" } },
      "application/x-ndjson": { schema: bookmarks ? { anyOf: [schema, bookmarkSchema] } : schema },
    },
  };
}

function walk(desc: DescMessage, name: string): DescField {
  const [first, ...rest] = name.split(".");
  const field = desc.fields.find((candidate) => candidate.name === first);
  if (!field) throw new Error(`${desc.typeName} has no field "${first}"`);
  return rest.length > 0 && field.message ? walk(field.message, rest.join(".")) : field;
}

/** What tells the place in a stream alone, to those who ask for it (rest/resumption.ts). */
const bookmarkSchema: JsonObject = {
  type: "object",
  description: "With bookmarks: the place in the stream, and nothing else.",
  required: [tokenName],
  properties: { [tokenName]: { type: "string" } },
  additionalProperties: false,
};

const errorSchema: JsonObject = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      description: StatusSchema.typeName,
      required: ["code", "status", "message", "details"],
      properties: {
        code: { type: "integer", description: "The HTTP status." },
        status: { type: "string", description: "The canonical code.", examples: ["INVALID_ARGUMENT"] },
        message: { type: "string", description: "For people." },
        details: {
          type: "array",
          description: "google.rpc.ErrorInfo first, then google.rpc.BadRequest when fields are at fault.",
          items: {
            type: "object",
            required: ["@type"],
            properties: {
              "@type": { type: "string" },
              reason: { type: "string", description: "For programs." },
              domain: { type: "string" },
              metadata: { type: "object", additionalProperties: { type: "string" } },
              field_violations: {
                type: "array",
                items: {
                  type: "object",
                  properties: { field: { type: "string" }, description: { type: "string" } },
                },
              },
            },
          },
        },
      },
    },
  },
};
