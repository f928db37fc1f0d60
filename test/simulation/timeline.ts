interface Step {
  atMs: number;
  order: number;
  run: () => void;
}

/** Simulated time: steps in order of time, and of their planning within one instant. */
export class Timeline {
  nowMs: number;
  readonly #heap: Step[] = [];
  #order = 0;

  constructor(startMs: number) {
    this.nowMs = startMs;
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  at(atMs: number, run: () => void): void {
    const heap = this.#heap;
    const step = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run };
    let place = heap.length;
    heap.push(step);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent] as Step;
      if (!before(step, above)) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = step;
  }

  runUntil(endMs: number): void {
    for (let step = this.#heap[0]; step && step.atMs <= endMs; step = this.#heap[0]) {
      this.#pop();
      this.nowMs = step.atMs;
      step.run();
    }
    this.nowMs = endMs;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Step, heap[child] as Step)) child++;
      if (!before(heap[child] as Step, last)) break;
      heap[place] = heap[child] as Step;
      place = child;
    }
    heap[place] = last;
  }
}

function before(a: Step, b: Step): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
