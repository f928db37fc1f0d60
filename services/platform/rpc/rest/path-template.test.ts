import { expect, test } from "vitest";
import { compilePathTemplate } from "./path-template.ts";

test.each([
  ["/jobs", "/jobs", []],
  ["/jobs", "/jobs/", undefined],
  ["/jobs/{job_id}", "/jobs/a%2Fb", ["a%2Fb"]],
  ["/jobs/{job_id}", "/jobs/a/b", undefined],
  ["/jobs/{job_id}", "/jobs/", undefined],
  ["/jobs/{job_id}:run", "/jobs/a:run", ["a"]],
  ["/jobs/{job_id}:run", "/jobs/a", undefined],
  ["/jobs:batchCreate", "/jobs:batchCreate", []],
  ["/jobs/{job.job_id}/executions:watch", "/jobs/x/executions:watch", ["x"]],
  ["/v1/{name=shelves/*/books/*}", "/v1/shelves/1/books/2", ["shelves/1/books/2"]],
  ["/v1/{name=files/**}:get", "/v1/files/a/b/c:get", ["files/a/b/c"]],
  ["/a.b/*", "/axb/1", undefined],
])("%s over %s gives %j", (template, path, values) => {
  expect(compilePathTemplate(template).match(path)).toEqual(values);
});

test("a template tells its variables and its verb", () => {
  const { variables, verb } = compilePathTemplate("/jobs/{job.job_id}/x/{y=*}:do");
  expect([variables, verb]).toEqual([["job.job_id", "y"], "do"]);
  expect(() => compilePathTemplate("jobs")).toThrow('does not begin with "/"');
});
