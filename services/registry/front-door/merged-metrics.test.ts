import { describe, expect, it } from "vitest";
import { mergePages, withLabel } from "./merged-metrics.ts";

const page = (service: string, value: number) => `# HELP calls_total Calls
# TYPE calls_total counter
calls_total{service="${service}"} ${value}

# HELP late_seconds Lateness
# TYPE late_seconds histogram
late_seconds_bucket{le="+Inf",service="${service}"} ${value}
late_seconds_sum{service="${service}"} ${value}
late_seconds_count{service="${service}"} ${value}
`;

describe("one page of several", () => {
  it("has each family once, with the samples of all", () => {
    expect(mergePages([page("a", 1), page("b", 2)])).toBe(`# HELP calls_total Calls
# TYPE calls_total counter
calls_total{service="a"} 1
calls_total{service="b"} 2
# HELP late_seconds Lateness
# TYPE late_seconds histogram
late_seconds_bucket{le="+Inf",service="a"} 1
late_seconds_sum{service="a"} 1
late_seconds_count{service="a"} 1
late_seconds_bucket{le="+Inf",service="b"} 2
late_seconds_sum{service="b"} 2
late_seconds_count{service="b"} 2
`);
  });

  it("keeps families apart whose names begin alike", () => {
    const merged = mergePages(["# TYPE late gauge\nlate 1\n# TYPE late_seconds gauge\nlate_seconds 2\n", "late 3\n"]);
    expect(merged).toBe("# TYPE late gauge\nlate 1\nlate 3\n# TYPE late_seconds gauge\nlate_seconds 2\n");
  });

  it("tells two instances of one service apart", () => {
    const plain = "# TYPE up gauge\nup 1\n";
    const pages = ["a:1", "b:2"].map((peer) => withLabel(`${page("ticker", 1)}${plain}`, "peer", peer));
    const samples = mergePages(pages)
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(samples).toContain('late_seconds_bucket{peer="b:2",le="+Inf",service="ticker"}');
    expect(samples).toContain('up{peer="a:1"}');
    expect(new Set(samples).size).toBe(samples.length);
    expect(samples).toHaveLength(10);
  });
});
