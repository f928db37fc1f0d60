import type { Position } from "../../../domain/identity/position.ts";

const none = -1;
const firstCapacity = 4_096;
/** Keys of jobs only ever grow: a table up to the highest one would grow for ever. */
const keysPerPage = 256;

/**
 * The rows of a segment by job, newest first, in memory until they are written in that order: a linked list a job,
 * in typed arrays (12 bytes a row). Results come nearly in order, so a new one
 * is nearly always the head of its list.
 */
export class OpenIndex {
  /** By job key: the newest row. In pages, of which there are those with a job in them. */
  readonly #heads = new Map<number, Int32Array>();
  /** By row: the next older row of the same job. */
  #older = new Int32Array(firstCapacity);
  #seconds = new Float64Array(firstCapacity);
  readonly #runs = new Map<number, string>();
  #count = 0;
  #min = Infinity;
  #max = -Infinity;

  get rowCount(): number {
    return this.#count;
  }

  /** Infinity while there is no row. */
  get minSecond(): number {
    return this.#min;
  }

  /** -Infinity while there is no row. */
  get maxSecond(): number {
    return this.#max;
  }

  /** That of the row that came last; 0 while there is none. */
  get lastSecond(): number {
    return this.#seconds[this.#count - 1] ?? 0;
  }

  add(jobKey: number, { second, run }: Position): void {
    const row = this.#count++;
    if (row >= this.#seconds.length) this.#growRows();
    this.#seconds[row] = second;
    if (run !== "") this.#runs.set(row, run);
    if (second < this.#min) this.#min = second;
    if (second > this.#max) this.#max = second;

    let newer = none;
    let at = this.#headOf(jobKey);
    while (at !== none && this.#isBefore(second, run, at)) {
      newer = at;
      at = this.#older[at] ?? none;
    }
    this.#older[row] = at;
    if (newer === none) this.#setHead(jobKey, row);
    else this.#older[newer] = row;
  }

  /** The keys of the jobs that have rows, ascending, those after one. */
  *jobKeys(after: number): Generator<number> {
    const pages = [...this.#heads].sort(([a], [b]) => a - b);
    for (const [page, heads] of pages) {
      for (const [at, row] of heads.entries()) {
        const jobKey = page * keysPerPage + at;
        if (row !== none && jobKey > after) yield jobKey;
      }
    }
  }

  /** The rows of a job, newest first, those before a position only when one is given. */
  *newestFirst(jobKey: number, before?: Position): Generator<Position> {
    for (let row = this.#headOf(jobKey); row !== none; row = this.#older[row] ?? none) {
      const second = this.#seconds[row] ?? 0;
      if (before !== undefined && second > before.second) continue;
      const run = this.#runs.get(row) ?? "";
      if (before !== undefined && second === before.second && run >= before.run) continue;
      yield { second, run };
    }
  }

  #isBefore(second: number, run: string, row: number): boolean {
    const other = this.#seconds[row] ?? 0;
    return second < other || (second === other && run < (this.#runs.get(row) ?? ""));
  }

  #growRows(): void {
    const older = new Int32Array(this.#older.length * 2);
    older.set(this.#older);
    this.#older = older;
    const seconds = new Float64Array(this.#seconds.length * 2);
    seconds.set(this.#seconds);
    this.#seconds = seconds;
  }

  #headOf(jobKey: number): number {
    return this.#heads.get(Math.floor(jobKey / keysPerPage))?.[jobKey % keysPerPage] ?? none;
  }

  #setHead(jobKey: number, row: number): void {
    const page = Math.floor(jobKey / keysPerPage);
    let heads = this.#heads.get(page);
    if (!heads) {
      heads = new Int32Array(keysPerPage).fill(none);
      this.#heads.set(page, heads);
    }
    heads[jobKey % keysPerPage] = row;
  }
}
