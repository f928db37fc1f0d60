import { type DescField, type DescMessage, getOption, hasOption } from "@bufbuild/protobuf";
import { http } from "../../../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../../../gen/google/api/http_pb.ts";
import type { BoundMethod, BoundService } from "../call-context.ts";
import { compilePathTemplate, type PathTemplate } from "./path-template.ts";

/** One HTTP rule of one RPC. */
export interface RestRoute {
  readonly verb: string;
  readonly template: PathTemplate;
  readonly method: BoundMethod;
  /** Whether it is not the method's first rule. */
  readonly additional: boolean;
  /** The field that the body is; "*": the request itself; undefined: no body. */
  readonly body: DescField | "*" | undefined;
  /** The field that the answer is; undefined: the response itself. */
  readonly responseBody: DescField | undefined;
}

export interface RestMatch {
  readonly route: RestRoute;
  /** Values of the template's variables, percent-encoded. */
  readonly values: readonly string[];
}

/** The routes that google.api.http annotations ask for. Throws when an annotation names what is not there. */
export function routesOf(services: readonly BoundService[]): RestRoute[] {
  return services.flatMap(({ methods }) =>
    methods.flatMap((method) => {
      if (!hasOption(method.desc, http)) return [];
      const rule = getOption(method.desc, http);
      return [rule, ...rule.additionalBindings].map((binding) => routeOf(method, binding, binding !== rule));
    }),
  );
}

function routeOf(method: BoundMethod, rule: HttpRule, additional: boolean): RestRoute {
  const { pattern } = rule;
  if (pattern.case === undefined) throw new Error(`${method.desc.toString()}: an HTTP rule without a pattern`);
  const [verb, path] =
    pattern.case === "custom" ? [pattern.value.kind, pattern.value.path] : [pattern.case.toUpperCase(), pattern.value];
  return {
    verb,
    template: compilePathTemplate(path),
    method,
    additional,
    body: rule.body === "" || rule.body === "*" ? rule.body || undefined : fieldOf(method.desc.input, rule.body),
    responseBody: rule.responseBody === "" ? undefined : fieldOf(method.desc.output, rule.responseBody),
  };
}

function fieldOf(desc: DescMessage, name: string): DescField {
  const field = desc.fields.find((candidate) => candidate.name === name);
  if (!field) throw new Error(`${desc.typeName} has no field "${name}"`);
  return field;
}

/**
 * All routes of a path, whatever their verb. `/jobs/x:pause` belongs to the
 * routes that end in `:pause` and never to `/jobs/{job_id}`.
 */
export function matchPath(routes: readonly RestRoute[], path: string): RestMatch[] {
  const matches = routes.flatMap((route) => {
    const values = route.template.match(path);
    return values ? [{ route, values }] : [];
  });
  const custom = matches.filter(({ route }) => route.template.verb !== undefined);
  return custom.length > 0 ? custom : matches;
}

/** The verbs of an Allow header. */
export function allowedVerbs(matches: readonly RestMatch[]): string {
  const verbs = new Set(matches.map(({ route }) => route.verb));
  // What streams has no end that its headers could tell of.
  if (matches.some(({ route }) => route.verb === "GET" && route.method.kind === "unary")) verbs.add("HEAD");
  return [...verbs, "OPTIONS"].sort().join(", ");
}
