/** What is wrong with one field of a request. */
export interface FieldViolation {
  /** snake_case path from the request message: `job.http.headers["X-A"]`, `requests[3].job.schedule`; "": all of it. */
  field: string;
  /** What is wrong, without the path: "value is required". */
  description: string;
  /** UPPER_SNAKE_CASE, when it has another than the whole error. */
  reason?: string;
}
