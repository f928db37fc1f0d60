/**
 * What is wrong with the URL that a job calls; undefined when it is fine.
 *
 * WHATWG parsing alone is too kind: it drops spaces and line ends, reads "\" as
 * "/" and takes the first word after "http:///" for the host. What it would
 * quietly mend is refused, so that the URL that is called is the one that was written.
 */
export function problemOfTargetUrl(text: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\s\u0000-\u0020\u007f-\u009f]/.test(text)) return "must not contain spaces or control characters";
  if (text.includes("\\")) return 'must not contain "\\"';
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return "must be an absolute URL, such as https://example.com/hook";
  if (scheme !== "http" && scheme !== "https") return `the scheme "${scheme}" is not supported; use http or https`;
  const authority = /^[^:]+:\/\/([^/?#]*)/.exec(text)?.[1];
  if (authority === undefined) return `must have "//" after "${scheme}:"`;
  if (authority.includes("@")) return "must not contain credentials; send them in http.headers";
  if (text.includes("#")) return "must not have a fragment (#…): it is never sent";
  return problemOfAuthority(authority) ?? (URL.canParse(text) ? undefined : "is not a valid URL");
}

function problemOfAuthority(authority: string): string | undefined {
  const [, host = "", port = ""] = /^(\[[^\]]*\]?|[^:[]*)(?::(.*))?$/.exec(authority) ?? [];
  if (host === "") return "must have a host";
  if (port !== "" && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    return `the port "${port}" is not a number from 1 to 65535`;
  }
  return URL.canParse(`http://${host}/`) ? undefined : `"${host}" is not a valid host`;
}
