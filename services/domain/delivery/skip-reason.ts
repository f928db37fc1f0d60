/** Why an occurrence was not fired, for programs. */
export type SkipReason = "JOB_PAUSED" | "JOB_DELETED" | "JOB_CHANGED" | "EXPIRED" | "BACKLOG_FULL";
