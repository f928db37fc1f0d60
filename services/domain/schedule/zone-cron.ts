import type { CronPattern } from "./cron-pattern.ts";
import { maxShift, type ZoneSpan, type ZoneTable } from "./zone-table.ts";

/**
 * From wall clock to instants: what a cron pattern means on the days when the clocks change.
 *
 * - A **fixed-time** pattern (`30 2 * * *`) whose wall time does not exist fires at the first instant
 *   after the gap, once, however many of its times fell into it; of a wall time that comes twice it
 *   fires at the first.
 * - A pattern that **keeps its cadence** (`0 * * * *`) follows the clock on the wall: times in the
 *   gap do not exist for it, and it fires in both passes of a repeated hour, so that no hour of real
 *   time goes without.
 *
 * The distinction is that of vixie-cron (cron(8) on Debian: jobs "that run at a specific time" are
 * handled specially, jobs that "run more frequently are scheduled normally"), whose source calls an
 * entry wild when its minute or its hour field starts with `*`. Ours asks the hour field only, and
 * so ten-minute steps within hour 2 still fire once on the day that has no hour 2: a pattern is
 * fixed-time unless its hour field starts with `*`, is a hashed step (`H/4`), or names all 24 hours.
 */
export function nextInZone(pattern: CronPattern, zone: ZoneTable, after: number) {
  return pattern.keepsCadence ? nextKeepingCadence(pattern, zone, after) : nextFixedTime(pattern, zone, after);
}

/** Clocks change a few times a year; a walk that takes more steps than this is a bug. */
const maxSpans = 1_000;

function nextFixedTime(pattern: CronPattern, zone: ZoneTable, after: number): number | undefined {
  let span = zone.spanAt(after);
  // In the second pass of a repeated hour, all that the first pass showed is done.
  const done = Math.max(after + span.offset, span.start + span.before - 1);
  const wall = pattern.nextWall(done);
  if (wall === undefined) return undefined;
  span = nearTo(wall, span, zone);
  while (wall - span.offset >= span.end) span = zone.spanAt(span.end);
  // Earlier than the span in which it is due: the wall time fell into the gap before it.
  return Math.max(wall - span.offset, span.start);
}

function nextKeepingCadence(pattern: CronPattern, zone: ZoneTable, after: number): number | undefined {
  let span = zone.spanAt(after);
  let wall = pattern.nextWall(after + span.offset);
  for (let i = 0; i < maxSpans && wall !== undefined; i++) {
    if (wall - span.offset < span.end) return wall - span.offset;
    // A change right ahead may repeat times that lie before `after`, so that one is not jumped over.
    const near = span.end - after > maxShift ? nearTo(wall, span, zone) : span;
    if (near !== span) {
      span = near;
      continue;
    }
    const boundary = span.end;
    span = zone.spanAt(boundary);
    wall = pattern.nextWall(boundary + span.offset - 1);
  }
  return undefined;
}

/** The span shortly before a wall time that lies far ahead; between here and there nothing is due. */
function nearTo(wall: number, span: ZoneSpan, zone: ZoneTable): ZoneSpan {
  const near = wall - span.offset - maxShift;
  return near >= span.end ? zone.spanAt(near) : span;
}
