/** Turns one line of a log, without its end, into text for people. Lines that are no entries stay as they are. */
export type LogText = (line: string) => string;

interface Entry {
  level: number;
  time?: string;
  service?: string;
  event?: string;
  msg?: string;
  err?: { message?: string; stack?: string };
  [field: string]: unknown;
}

const names = new Map([
  [10, "TRACE"],
  [20, "DEBUG"],
  [30, "INFO"],
  [40, "WARN"],
  [50, "ERROR"],
  [60, "FATAL"],
]);
const nameWidth = 5;
const shownItems = 8;
const styles = { dim: 2, red: 31, green: 32, yellow: 33, blue: 34, bold: 1 } as const;
/** Only there a stack tells more than the message: nobody has foreseen them. */
const surprises: ReadonlySet<string> = new Set(["uncaught_exception", "unhandled_rejection"]);

/**
 * `12:00:05.123 WARN  attempt_failed jobId=… err="connection refused"`, in UTC. Of an error it
 * shows the message; JSON has the rest. What others wrote (a target, say) cannot steer the terminal.
 */
export function createLogText({ colour }: { colour: boolean }): LogText {
  const paint = (style: keyof typeof styles, text: string) =>
    colour ? `\u001b[${styles[style]}m${text}\u001b[0m` : text;
  return (line) => {
    const entry = parseEntry(line);
    if (!entry) return withoutControls(line);
    const { level, time = "", service: _, event, msg, err, ...fields } = entry;
    const name = (names.get(level) ?? String(level)).padEnd(nameWidth);
    const words = Object.entries({ ...fields, ...(err && { err: err.message ?? err }) }).map(
      ([key, value]) => `${paint("dim", `${key}=`)}${formatValue(value)}`,
    );
    const stack = err?.stack !== undefined && surprises.has(event ?? "") ? `\n${withoutControls(err.stack)}` : "";
    const said = [event, msg].filter((part) => part !== undefined).map((part) => withoutControls(String(part)));
    const head = [paint("dim", time.slice("2026-12-01T".length, -1)), paint(styleOf(level), name)];
    return [...head, ...said.map((part) => paint("bold", part)), ...words].join(" ").trimEnd() + stack;
  };
}

/** Undefined for what is no entry of a log: the first words of a process, or a crash of Node itself. */
export function parseEntry(line: string): Entry | undefined {
  if (!line.startsWith('{"level":')) return undefined;
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return undefined;
  }
}

function styleOf(level: number): keyof typeof styles {
  if (level >= 50) return "red";
  if (level >= 40) return "yellow";
  return level >= 30 ? "green" : "blue";
}

function formatValue(value: unknown): string {
  if (typeof value === "string" && /^[^\s"\p{Cc}]+$/u.test(value)) return value;
  if (Array.isArray(value) && value.length > shownItems) {
    return `${formatValue(value.slice(0, shownItems)).slice(0, -1)},… ${value.length} in all]`;
  }
  return withoutControls(JSON.stringify(value) ?? "");
}

/** But for line breaks and tabs. */
function withoutControls(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`);
}
