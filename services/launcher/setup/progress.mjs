// What is shown while something takes its time, before there are packages (setup.mjs) and after (main.ts).
// Plain JavaScript, no packages, no new syntax.

/** How often a terminal's line moves, and how often there is a new line where the output is none. */
const redrawEveryMs = 120;
const lineEveryMs = 2000;
const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const clearLine = "\r\u001b[2K";

/**
 * @typedef {object} Step What takes its time.
 * @property {(detail: string) => void} say How far it is.
 * @property {() => void} end Idempotent.
 */

/**
 * @typedef {object} Progress
 * @property {(text: string) => void} write Takes whole lines; the line that moves stays below them.
 * @property {(write: () => void) => void} aside Lets something else write whole lines to the same terminal.
 * @property {(label: string, detail?: string) => Step} begin One step at a time: a new one ends the one before.
 */

/**
 * On a terminal one line that moves, which is gone when its step ends. Elsewhere a line every two seconds
 * and no control characters; what is over by then is not mentioned.
 *
 * @param {{
 *   write: (text: string) => void,
 *   terminal: boolean,
 *   columns: () => number,
 *   clock: { monotonicMs(): number, after(delayMs: number, callback: () => void): () => void },
 * }} options
 * @returns {Progress}
 */
export function createProgress({ write: writeOut, terminal, columns, clock }) {
  /** @type {{ label: string, detail: string, startedAtMs: number } | undefined} */
  let step;
  let frame = 0;
  let drawn = false;
  let cancel = () => {};
  let writtenAtMs = clock.monotonicMs();

  const write = (text) => {
    writtenAtMs = clock.monotonicMs();
    writeOut(text);
  };

  const text = () => {
    if (!step) return "";
    const seconds = Math.floor((clock.monotonicMs() - step.startedAtMs) / 1000);
    return `${step.label}${step.detail ? `: ${step.detail}` : ""} (${seconds} s)`;
  };
  const clear = () => {
    if (drawn) write(clearLine);
    drawn = false;
  };
  const draw = () => {
    // A line that wraps would not be cleared as a whole.
    const line = `${frames[frame++ % frames.length]} ${text()}`.slice(0, Math.max(1, columns() - 1));
    write(`${drawn ? clearLine : ""}${line}`);
    drawn = true;
  };
  /** After a while without a word, whichever step that was. */
  const schedule = () => {
    const silentMs = clock.monotonicMs() - writtenAtMs;
    cancel = clock.after(terminal ? redrawEveryMs : Math.max(0, lineEveryMs - silentMs), tick);
  };
  const tick = () => {
    if (terminal) draw();
    else if (clock.monotonicMs() - writtenAtMs >= lineEveryMs) write(`${text()}\n`);
    schedule();
  };

  const aside = (writeLines) => {
    clear();
    writeLines();
    if (terminal && step) draw();
  };

  return {
    write: (lines) => aside(() => write(lines)),
    aside,
    begin(label, detail = "") {
      cancel();
      clear();
      const mine = { label, detail, startedAtMs: clock.monotonicMs() };
      step = mine;
      if (terminal) draw();
      schedule();
      return {
        say(news) {
          mine.detail = news;
        },
        end() {
          if (step !== mine) return;
          cancel();
          clear();
          step = undefined;
        },
      };
    },
  };
}
