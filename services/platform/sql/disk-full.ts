import Database from "better-sqlite3";

/**
 * What SQLite says when the file system has no room: for the database itself, or
 * (as an error of I/O) for the log and its index that lie beside it.
 */
const codes: ReadonlySet<string> = new Set(["SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"]);

/** Whether a database could not write since its disk is full. Nothing is half-written then, and it goes on once there is room. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Database.SqliteError && codes.has(error.code);
}
