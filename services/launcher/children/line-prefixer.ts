export interface PrefixOptions {
  /** Stands before each line. */
  prefix: string;
  /** Lines it refuses are dropped. */
  keep?: (line: string) => boolean;
  /** What is shown of a line that is kept; it may be several. */
  dress?: (line: string) => string;
  write: (text: string) => void;
}

// A "line" longer than this is cut: a child that never ends its line must not fill the memory.
const longestLine = 256 * 1024;

/** Turns a child's output, chunk by chunk, into whole prefixed lines; one write a chunk. `flush` ends a last line. */
export function createLinePrefixer({ prefix, keep, dress, write }: PrefixOptions) {
  let rest = "";
  return {
    push(chunk: string): void {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > longestLine) {
        lines.push(rest);
        rest = "";
      }
      const kept = keep ? lines.filter(keep) : lines;
      if (kept.length === 0) return;
      const shown = (dress ? kept.map(dress) : kept).join("\n");
      write(`${prefix}${shown.replaceAll("\n", `\n${prefix}`)}\n`);
    },
    flush(): void {
      if (rest !== "") this.push("\n");
    },
  };
}
