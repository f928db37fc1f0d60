import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { createCommitter } from "./committer.ts";

function openTable() {
  const db = new Database(":memory:");
  db.exec("create table rows (id integer primary key)");
  let commits = 0;
  const committer = createCommitter(db, () => commits++);
  const insert = (id: number) => committer.commit(() => db.prepare("insert into rows values (?)").run(id).changes);
  const ids = () => db.prepare("select id from rows order by id").pluck().all();
  return { committer, insert, ids, commits: () => commits };
}

describe("writes that arrive together", () => {
  it("share one commit, each with its own result", async () => {
    const { committer, ids, insert, commits } = openTable();
    const results = await Promise.all([insert(1), insert(2), committer.commit(() => "third"), insert(4)]);
    expect(results).toEqual([1, 1, "third", 1]);
    expect(ids()).toEqual([1, 2, 4]);
    expect(commits()).toBe(1);
  });

  it("run in order, and see what those before them wrote", async () => {
    const { committer, insert, ids } = openTable();
    void insert(1);
    expect(await committer.commit(ids)).toEqual([1]);
  });

  it("all fail when one of them throws, and those after them do not", async () => {
    const { insert, ids } = openTable();
    const outcomes = await Promise.allSettled([insert(1), insert(1), insert(2)]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    await insert(3);
    expect(ids()).toEqual([3]);
  });

  it("are split when they are many, so that nobody waits for all of them", async () => {
    const { committer, commits } = openTable();
    await Promise.all(Array.from({ length: 5 }, () => committer.commit(() => undefined, 1_000)));
    expect(commits()).toBe(3);
  });

  it("are written also when one alone is more than goes into a transaction", async () => {
    const { committer, commits } = openTable();
    const works = [1, 5_000, 1].map((weight) => committer.commit(() => weight, weight));
    expect(await Promise.all(works)).toEqual([1, 5_000, 1]);
    expect(commits()).toBe(3);
  });

  it("are on disk once it has drained", async () => {
    const { committer, insert, ids } = openTable();
    const written = insert(1);
    await committer.drain();
    expect(ids()).toEqual([1]);
    await written;
  });
});
