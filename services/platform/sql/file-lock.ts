import Database from "better-sqlite3";

export interface FileLock {
  /** Lets others have it. Idempotent. */
  release(): void;
}

// Referenced from here until released: a handle that is garbage collected closes,
// and the lock would go with it while its holder still works.
const held = new Set<Database.Database>();

/**
 * Takes a lock on a file of its own, which is made where it is not there;
 * undefined when somebody else has it, in this process or in another one. The lock
 * is SQLite's: the operating system drops it when the process dies, so that
 * nothing stale is left behind even by a kill -9.
 */
export function takeFileLock(path: string): FileLock | undefined {
  const db = new Database(path, { timeout: 0 });
  try {
    db.exec("begin exclusive");
  } catch (error) {
    db.close();
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY")) return undefined;
    throw error;
  }
  held.add(db);
  return {
    release() {
      held.delete(db);
      db.close();
    },
  };
}
