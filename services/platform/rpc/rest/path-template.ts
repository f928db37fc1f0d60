/** The path of an HTTP rule, as google/api/http.proto defines it: `/jobs/{job.job_id}/executions:watch`. */
export interface PathTemplate {
  readonly source: string;
  /** Variables in order: field paths, in proto names. */
  readonly variables: readonly string[];
  /** `watch` in `/…:watch`. */
  readonly verb: string | undefined;
  /** The raw values of the variables when the raw path matches, still percent-encoded. */
  match(path: string): string[] | undefined;
}

// A variable takes one segment unless it says otherwise.
const oneSegment = "*";

/** Throws for a template that google/api/http.proto does not allow. */
export function compilePathTemplate(source: string): PathTemplate {
  const [, path = "", verb] = /^(.*?)(?::([^/{}*:]+))?$/s.exec(source) ?? [];
  if (!path.startsWith("/")) throw new Error(`path template "${source}" does not begin with "/"`);
  const variables: string[] = [];
  const pattern = path.replace(/\{([^{}=]+)(?:=([^{}]+))?\}|\*\*|\*|[^{}*]+/g, (part, name, inner = oneSegment) => {
    if (name === undefined) return segmentPattern(part);
    variables.push(name);
    const parts = inner.match(/\*\*|\*|[^*]+/g) ?? [];
    return `(${parts.map(segmentPattern).join("")})`;
  });
  const expression = new RegExp(`^${pattern}${verb === undefined ? "" : `:${literal(verb)}`}$`);
  return {
    source,
    variables,
    verb,
    match(raw) {
      return expression.exec(raw)?.slice(1);
    },
  };
}

function segmentPattern(part: string): string {
  if (part === "**") return ".+";
  if (part === "*") return "[^/]+";
  return literal(part);
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
