import { takeFileLock } from "./file-lock.ts";
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
 * The lock is on a file beside it, and not on the database itself, which tools
 * may read meanwhile. Throws at once when another owner has it, of this process or of another one.
 */
export function openSoleSqlite(path: string, migrations: readonly Migration[]): SoleSqlite {
  const lock = takeFileLock(`${path}.lock`);
  if (!lock) throw new Error(`another store has ${path} open`);
  try {
    const db = openSqlite(path, migrations);
    return {
      db,
      close() {
        db.close();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}
