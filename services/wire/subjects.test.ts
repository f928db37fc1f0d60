import { describe, expect, it } from "vitest";
import { jobNamed } from "../../test/support/job-ids.ts";
import { streams } from "./streams.ts";
import { jobIdOfSubject, lastMessageOf, lastTokenOfSubject, subjects, subjectsOfStream } from "./subjects.ts";

/** Whether a filter of NATS takes a subject in. */
const takes = (filter: string, subject: string) => {
  const tokens = subject.split(".");
  const wanted = filter.split(".");
  if (wanted.at(-1) !== ">" && wanted.length !== tokens.length) return false;
  return wanted.every((token, i) => token === "*" || token === ">" || token === tokens[i]);
};
const published = {
  jobs: subjects.job(63, jobNamed("a")),
  due: subjects.due(63),
  retry: subjects.retry(63),
  results: subjects.results,
  lanes: subjects.lane("a-b"),
  running: subjects.running("run-1"),
  dead: subjects.dead(63, jobNamed("a")),
  ticks: subjects.tick("t1"),
  claims: subjects.claim(63),
};

describe("subjects", () => {
  it("never change: what is stored lies under them", () => {
    expect(published).toEqual({
      jobs: `carillon.jobs.63.${jobNamed("a")}`,
      due: "carillon.due.63",
      retry: "carillon.retry.63",
      results: "carillon.results.0",
      lanes: "carillon.lanes.a-b",
      running: "carillon.running.run-1",
      dead: `carillon.dead.63.${jobNamed("a")}`,
      ticks: "carillon.ticks.t1",
      claims: "$KV.carillon_partitions.63",
    });
    expect(streams.claims).toBe("KV_carillon_partitions");
  });

  it("belong to one stream each", () => {
    for (const [name, subject] of Object.entries(published)) {
      const takers = Object.entries(subjectsOfStream).filter(([, filter]) => takes(filter, subject));
      expect(takers.map(([taker]) => taker)).toEqual([name]);
    }
  });

  it("are found by those who follow them", () => {
    expect(takes(subjects.jobs, published.jobs)).toBe(true);
    expect(takes(subjects.jobsOfPartition(63), published.jobs)).toBe(true);
    expect(takes(subjects.jobsOfPartition(6), published.jobs)).toBe(false);
    expect(takes(subjects.ticks, published.ticks)).toBe(true);
    expect(takes(subjects.claims, published.claims)).toBe(true);
  });

  it("tell their job, and where their last message is asked for", () => {
    expect(jobIdOfSubject(published.jobs)).toBe(jobNamed("a"));
    expect(lastTokenOfSubject(published.lanes)).toBe("a-b");
    expect(lastMessageOf(streams.jobs, published.jobs)).toBe(`$JS.API.DIRECT.GET.JOBS.${published.jobs}`);
  });
});
