/** One archive that the system's own apt uses. */
export interface AptSource {
  uris: readonly string[];
  suites: readonly string[];
  components: readonly string[];
  /** As in the file: a path, or a whole key block with its line breaks. */
  signedBy?: string;
}

/** Reads a deb822 file (`*.sources`), one source a stanza; disabled ones are left out. */
export function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = [];
  const uncommented = text.replaceAll(/^#.*\n?/gm, "");
  for (const stanza of uncommented.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    // A line that starts with white space continues the field above it.
    for (const field of stanza.split(/\n(?![ \t])/)) {
      const match = /^([A-Za-z-]+):\s*([\s\S]*)$/.exec(field.trim());
      if (match) fields.set((match[1] ?? "").toLowerCase(), (match[2] ?? "").trimEnd());
    }
    const words = (name: string) => (fields.get(name) ?? "").split(/\s+/).filter(Boolean);
    if (!words("types").includes("deb") || fields.get("enabled")?.toLowerCase() === "no") continue;
    const signedBy = fields.get("signed-by");
    sources.push({
      uris: words("uris"),
      suites: words("suites"),
      components: words("components"),
      ...(signedBy ? { signedBy } : {}),
    });
  }
  return sources;
}

/** Reads a one-line-style file (`sources.list`): `deb [signed-by=...] uri suite component ...`. */
export function parseOneLine(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split("\n")) {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line.trim());
    if (!match) continue;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(match[1] ?? "")?.[1];
    sources.push({
      uris: [match[2] ?? ""],
      suites: [match[3] ?? ""],
      components: (match[4] ?? "").trim().split(/\s+/),
      ...(signedBy ? { signedBy } : {}),
    });
  }
  return sources;
}

/** The system's main archive: the first source with its release's own suite (not -security, not -updates). */
export function mainArchive(sources: readonly AptSource[], codename: string): AptSource | undefined {
  return sources.find((source) => source.suites.includes(codename) && source.components.includes("main"));
}

/** A deb822 file with one suite of an archive. */
export function sourceFor(archive: AptSource, suite: string): string {
  return [
    "Types: deb",
    `URIs: ${archive.uris.join(" ")}`,
    `Suites: ${suite}`,
    "Components: main",
    ...(archive.signedBy ? [`Signed-By: ${archive.signedBy}`] : []),
    "",
  ].join("\n");
}
