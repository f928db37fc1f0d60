import Database from "better-sqlite3";
import { type Migration, openSqlite, type Sqlite } from "./sqlite.ts";

export interface SoleSqlite {
  readonly db: Sqlite;
  /** Closes the database, and then lets others have it. */
  close(): void;
}

/**
 * Opens a database file that nobody else has open in this way: what its owner
 * keeps in memory stays true, and the migrations run once.
 *
 * The lock is SQLite's on a file beside it, and not on the database itself,
 * which tools may read meanwhile. The operating system drops it when the process
 * dies, so that nothing stale is left behind even by a kill -9.
 * Throws at once when another owner has it, of this process or of another one.
 */
export function openSoleSqlite(path: string, migrations: readonly Migration[]): SoleSqlite {
  const lock = takeLock(path);
  try {
    const db = openSqlite(path, migrations);
    return {
      db,
      close() {
        db.close();
        release(lock);
      },
    };
  } catch (error) {
    release(lock);
    throw error;
  }
}

// Referenced from here until released: a handle that is garbage collected closes,
// and the lock would go with it while its owner still works.
const heldLocks = new Set<Sqlite>();

function takeLock(path: string): Sqlite {
  const lock = new Database(`${path}.lock`, { timeout: 0 });
  try {
    lock.exec("begin exclusive");
    heldLocks.add(lock);
    return lock;
  } catch (error) {
    lock.close();
    const busy = error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY");
    throw busy ? new Error(`another store has ${path} open`, { cause: error }) : error;
  }
}

function release(lock: Sqlite): void {
  heldLocks.delete(lock);
  lock.close();
}
