import { readFileSync } from "node:fs";

/** What a process has used so far. */
export interface Usage {
  cpuMs: number;
  rssBytes: number;
}

// Linux counts CPU time in ticks of 10 ms (sysconf(_SC_CLK_TCK) is 100 on every platform that Node runs on).
const tickMs = 10;

/** CPU time of a process since its start and its resident memory now, from /proc (proc(5)). Zero where there is no /proc. */
export function usageOf(pid: number): Usage {
  try {
    // The command in parentheses may hold blanks: count fields from its end. utime and stime are the 14th and 15th.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return {
      cpuMs: (Number(fields[11]) + Number(fields[12])) * tickMs,
      rssBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024,
    };
  } catch {
    return { cpuMs: 0, rssBytes: 0 };
  }
}
