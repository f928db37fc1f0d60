import { readFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "@bufbuild/protobuf";
import { readOnlyVerbs, refuseVerb, sendZippable } from "../http/http-answers.ts";
import type { HttpFace } from "../http/http-exchange.ts";

export interface DocsOptions {
  title: string;
  /** Makes the OpenAPI document; called at the first request for it. */
  openApi(): JsonObject;
}

// Swagger UI sets style attributes, and its icons are data URLs. All else comes from here.
const contentSecurityPolicy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

const assets: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
};

const paths: ReadonlySet<string> = new Set(["/", "/openapi.json", "/docs", "/docs/", "/docs/start.js"]);

/** /openapi.json, and Swagger UI at /docs, where / leads, too. Nothing is fetched from elsewhere, and no token is asked for. */
export function createDocsFace({ title, openApi }: DocsOptions): HttpFace {
  const folder = dirname(fileURLToPath(import.meta.resolve("swagger-ui-dist/package.json")));
  let document: Buffer | undefined;
  const files = new Map<string, Promise<Buffer>>();
  const fileOf = (name: string) => {
    const file = files.get(name) ?? readFile(join(folder, name));
    files.set(name, file);
    return file;
  };

  return async (exchange) => {
    const { path, request, response } = exchange;
    const name = path.startsWith("/docs/") ? path.slice("/docs/".length) : "";
    const contentType = Object.hasOwn(assets, name) ? assets[name] : undefined;
    if (contentType === undefined && !paths.has(path)) return false;
    if (request.method !== "GET" && request.method !== "HEAD") {
      refuseVerb(exchange, readOnlyVerbs);
      return true;
    }
    switch (path) {
      case "/":
        // Not for ever: another page may stand here one day.
        response.writeHead(302, { location: "/docs", "cache-control": "no-store" }).end();
        return true;
      case "/openapi.json":
        document ??= Buffer.from(JSON.stringify(openApi()));
        send(response, "application/json", document);
        return true;
      case "/docs":
        send(response, "text/html; charset=utf-8", Buffer.from(page(title)));
        return true;
      case "/docs/":
        response.writeHead(301, { location: "/docs" }).end();
        return true;
      case "/docs/start.js":
        send(response, "text/javascript; charset=utf-8", Buffer.from(startScript));
        return true;
    }
    if (contentType === undefined) return false;
    send(response, contentType, await fileOf(name), "public, max-age=3600");
    return true;
  };
}

function send(response: ServerResponse, contentType: string, body: Buffer, cacheControl = "no-cache"): void {
  response.statusCode = 200;
  response.setHeader("content-type", contentType);
  response.setHeader("cache-control", cacheControl);
  response.setHeader("content-security-policy", contentSecurityPolicy);
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("referrer-policy", "no-referrer");
  sendZippable(response, body);
}

function page(title: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>${title}</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css" />
    <link rel="icon" type="image/png" href="/docs/favicon-32x32.png" />
    <style>${phoneStyle}</style>
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;
}

// Swagger UI keeps both buttons of an edited form on one line, too long for a phone, and so is the name of a service in its type.
const phoneStyle = `@media (max-width: 480px) {
      .swagger-ui .opblock-tag { flex-wrap: wrap; font-size: 18px; overflow-wrap: anywhere }
      .swagger-ui .opblock-tag > * { min-width: 0 }
      .swagger-ui .opblock .tab-header .tab-item:first-of-type { padding: 0 }
      .swagger-ui .try-out.btn-group { flex-wrap: wrap; gap: 8px }
    }`;

// A file of its own: the policy allows no inline scripts.
const startScript = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
`;
