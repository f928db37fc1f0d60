const longestName = 6;

/** The same UUID of version 7 for the same name of up to six letters. They sort by length, then by name. */
export function jobNamed(name: string): string {
  const letters = Buffer.from(name);
  if (letters.length > longestName) throw new Error(`"${name}" is longer than ${longestName} letters`);
  return `017f22e2-79b0-7cc3-98c4-${letters.toString("hex").padStart(2 * longestName, "0")}`;
}

/** So many jobs, in the order of their ids. `letter` tells them from those of another call. */
export function jobsNamed(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => jobNamed(`${letter}${String(i).padStart(4, "0")}`));
}
