import type { Sqlite } from "../../../platform/sql/sqlite.ts";

/** Takes executions that were deleted off the count of rows. To be called in the same transaction. */
export function createForgottenCount(db: Sqlite): (deleted: number) => void {
  const update = db.prepare<{ deleted: number }>(
    "update state set row_count = row_count - @deleted, forgotten_count = forgotten_count + @deleted",
  );
  return (deleted) => {
    update.run({ deleted });
  };
}
