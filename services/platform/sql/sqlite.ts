import Database from "better-sqlite3";

export type Sqlite = Database.Database;

/** One step of a schema; its place in the list is its version, from 1. Never edit one that was released. */
export type Migration = string | ((db: Sqlite) => void);

// SQLite's own default of 1,000 pages checkpoints in the middle of each burst.
const checkpointPages = 50_000;

/**
 * Opens a database file that survives a power cut: WAL, and an fsync at each
 * commit. Missing migrations are applied in one transaction each.
 * Throws when the file was written by a newer version.
 */
export function openSqlite(path: string, migrations: readonly Migration[]): Sqlite {
  const db = new Database(path);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.pragma(`wal_autocheckpoint = ${checkpointPages}`);
  db.pragma("busy_timeout = 5000");
  db.pragma("foreign_keys = ON");
  migrate(db, migrations);
  return db;
}

/** One more connection to a file that this process has open, to read from beside its writer. */
export function openSqliteReader(path: string): Sqlite {
  return new Database(path, { readonly: true });
}

/** Whether the disk is what failed: it is full, or a write to it came to nothing. */
export function isDiskError(error: unknown): error is Error {
  return error instanceof Database.SqliteError && /^SQLITE_(FULL|IOERR|READONLY|CANTOPEN)/.test(error.code);
}

function migrate(db: Sqlite, migrations: readonly Migration[]): void {
  const version = Number(db.pragma("user_version", { simple: true }));
  if (version > migrations.length) {
    throw new Error(`${db.name} has schema version ${version}; this program knows ${migrations.length}`);
  }
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue;
    db.transaction(() => {
      if (typeof migration === "string") db.exec(migration);
      else migration(db);
      db.pragma(`user_version = ${index + 1}`);
    })();
  }
}
