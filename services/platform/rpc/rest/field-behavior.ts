import { type DescField, getOption, hasOption } from "@bufbuild/protobuf";
import { type FieldBehavior, field_behavior } from "../../../../gen/google/api/field_behavior_pb.ts";

/** Whether a field is annotated so (AIP-203). */
export function hasBehavior(field: DescField, behavior: FieldBehavior): boolean {
  return hasOption(field, field_behavior) && getOption(field, field_behavior).includes(behavior);
}
