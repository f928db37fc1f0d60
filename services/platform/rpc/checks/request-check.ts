import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { invalidField, invalidFields } from "../errors/rpc-error.ts";
import { findRequestFault } from "./request-faults.ts";

/** Throws INVALID_ARGUMENT when a request has unknown fields, impossible times, or breaks a rule of its proto. */
export type RequestCheck = (desc: DescMessage, request: Message) => void;

export function createRequestCheck(): RequestCheck {
  const validator = createValidator();
  return (desc, request) => {
    const fault = findRequestFault(desc, request);
    if (fault) throw invalidField(fault.field, fault.description, fault.reason);
    const result = validator.validate(desc, request);
    // A rule that cannot be evaluated is our mistake, not the client's.
    if (result.kind === "error") throw result.error;
    if (result.kind === "invalid") throw invalidFields(result.violations.map(toFieldViolation));
  };
}

function toFieldViolation(violation: Violation) {
  return {
    field: pathToString(violation.field),
    description: violation.forKey ? `key ${violation.message}` : violation.message,
  };
}
