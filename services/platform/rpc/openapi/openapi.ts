import type { DescField, DescMessage, JsonObject } from "@bufbuild/protobuf";
import { FieldBehavior } from "../../../../gen/google/api/field_behavior_pb.ts";
import { StatusSchema } from "../../../../gen/google/rpc/status_pb.ts";
import type { BoundService } from "../call-context.ts";
import { hasBehavior } from "../rest/field-behavior.ts";
import { type RestRoute, routesOf } from "../rest/rest-routes.ts";
import type { CommentOf } from "./descriptor-comments.ts";
import { createSchemaCollector, type SchemaCollector } from "./openapi-schema.ts";

export interface OpenApiInfo {
  title: string;
  version: string;
  description?: string;
}

/** Bodies to begin with, by the full name of their RPC: `carillon.v1.JobService.CreateJob`. */
export type BodyExamples = Readonly<Record<string, JsonObject>>;

/**
 * The OpenAPI 3.1 document of the REST face, made from the descriptors that
 * serve it. A form that is filled in from the schema alone has a text in every
 * field, and is refused: hence the examples.
 */
export function describeOpenApi(
  services: readonly BoundService[],
  info: OpenApiInfo,
  commentOf: CommentOf,
  examples: BodyExamples = {},
): JsonObject {
  const collector = createSchemaCollector(commentOf);
  const paths: Record<string, JsonObject> = {};
  for (const route of routesOf(services)) {
    const path = documentedPath(route);
    paths[path] = { ...paths[path], [route.verb.toLowerCase()]: operationOf(route, collector, commentOf, examples) };
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
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "Asked for when the server has tokens." },
      },
    },
    // Either: a server without tokens asks for none.
    security: [{ bearer: [] }, {}],
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
  examples: BodyExamples,
): JsonObject {
  const { desc } = route.method;
  const example = examples[`${desc.parent.typeName}.${desc.name}`];
  const comment = commentOf(desc);
  const summary = /^[^.]*\./.exec(comment)?.[0].replace(/\s+/g, " ").slice(0, -1) ?? desc.name;
  return {
    operationId: operationIdOf(route),
    summary,
    description: comment,
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
    const { readOnly, ...schema } = collector.field(walk(method.desc.input, name));
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
      ...lifted(collector.field(field)),
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
    if (route.verb !== "PATCH" || !body.message) return { required: true, schema: collector.field(body) };
    // A change names what it changes: nothing of the resource is required.
    const { required, ...schema } = collector.object(body.message.fields);
    return { required: true, schema };
  }
  const fields = method.desc.input.fields.filter(({ name }) => !template.variables.includes(name));
  return { required: fields.some(isRequired), schema: collector.object(fields) };
}

function answerOf({ method, responseBody }: RestRoute, collector: SchemaCollector): JsonObject {
  const schema = responseBody ? collector.field(responseBody) : collector.refer(method.desc.output);
  if (method.kind === "unary") return { description: "Done.", content: { "application/json": { schema } } };
  return {
    description: "One event, or one line, a message; until the client has had enough.",
    content: { "text/event-stream": { schema: { type: "string" } }, "application/x-ndjson": { schema } },
  };
}

function walk(desc: DescMessage, name: string): DescField {
  const [first, ...rest] = name.split(".");
  const field = desc.fields.find((candidate) => candidate.name === first);
  if (!field) throw new Error(`${desc.typeName} has no field "${first}"`);
  return rest.length > 0 && field.message ? walk(field.message, rest.join(".")) : field;
}

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
