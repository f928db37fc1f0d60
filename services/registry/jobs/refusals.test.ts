import { expect, it } from "vitest";
import { relativeTo } from "../../platform/rpc/errors/rpc-error.ts";
import { errorBody } from "../../platform/rpc/http/http-answers.ts";
import { type FieldProblem, fieldsNotImplemented, invalidJob } from "./refusals.ts";

const problem = (field: string, reason: string): FieldProblem => ({ field, description: "is no use", reason });

it("each of several problems has its reason, a lone one that of the error", () => {
  const several = invalidJob([problem("job.schedule", "SCHEDULE_INVALID"), problem("job.retry", "RETRY_INVALID")]);
  expect(errorBody(relativeTo("job", several)).error.details).toMatchObject([
    { reason: "SCHEDULE_INVALID" },
    {
      field_violations: [
        { field: "schedule", description: "is no use", reason: "SCHEDULE_INVALID" },
        { field: "retry", description: "is no use", reason: "RETRY_INVALID" },
      ],
    },
  ]);
  expect(invalidJob([problem("job.schedule", "SCHEDULE_INVALID")]).fieldViolations).toEqual([
    { field: "job.schedule", description: "is no use" },
  ]);
});

it("what is not implemented has one name in all of a REST answer", () => {
  const { error } = errorBody(
    relativeTo("job", fieldsNotImplemented([problem("job.jitter", "FIELD_NOT_IMPLEMENTED")])),
  );
  expect(error).toMatchObject({
    message: "not implemented in this version: jitter",
    details: [{ metadata: { field: "jitter" } }, { field_violations: [{ field: "jitter" }] }],
  });
});
