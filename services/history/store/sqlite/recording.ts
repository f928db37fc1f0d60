import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { AttemptResult } from "../../../wire/attempt-result.ts";
import { amend, begin, type ExecutionRecord, hasEnded } from "../../records/execution-record.ts";
import type { RecordChanges, Revision } from "../contract.ts";
import type { EndingsWriter } from "./endings.ts";
import { createExecutionWriter, readExecutionRows } from "./execution-rows.ts";
import { createHorizonReader } from "./horizon.ts";
import type { JobKeys } from "./job-keys.ts";
import { createNewestReader, createNewestWriter } from "./newest.ts";
import type { Row, Segments } from "./segments.ts";

interface Written {
  changes: RecordChanges;
  added: (Row & { retrying: boolean })[];
  /** Those among them that were there before, and waited. */
  ended: Row[];
}

/** Records results in one transaction, and tells the segments of it once it is committed. */
export function createRecording(
  db: Sqlite,
  keys: JobKeys,
  segments: Segments,
  inOrder: EndingsWriter,
): (results: readonly AttemptResult[]) => RecordChanges {
  const rows = readExecutionRows(db);
  const writer = createExecutionWriter(db);
  const newestOf = createNewestReader(db);
  const newest = createNewestWriter(db);
  const readHorizon = createHorizonReader(db);

  const write = db.transaction((results: readonly AttemptResult[]): Written => {
    let news = 0;
    const ended: ExecutionRecord[] = [];
    /** What has become of executions that had ended already, by nameOf. Nearly always empty. */
    const changed = new Map<string, Revision>();
    const added: Written["added"] = [];
    const endings: Row[] = [];
    for (const result of results) {
      const jobKey = keys.obtain(result.jobId);
      const begun = begin(result);
      if (writer.insert(jobKey, begun, segments.open.number)) {
        news++;
        const row = { jobKey, second: begun.second, run: begun.run, retrying: !hasEnded(begun) };
        segments.noteRow(row);
        added.push(row);
        if (hasEnded(begun)) ended.push(begun);
        continue;
      }
      const record = rows.find(jobKey, result.jobId, result);
      const amended = record && amend(record, result);
      if (!record || !amended) continue;
      news++;
      writer.update(jobKey, amended);
      if (hasEnded(record)) {
        const was = changed.get(nameOf(record))?.was ?? record;
        changed.set(nameOf(record), { record: amended, was });
      } else if (hasEnded(amended)) {
        ended.push(amended);
        const row = { jobKey, second: record.second, run: record.run };
        if (!segments.isCounted(writer.segmentOf(jobKey, row), jobKey)) endings.push(row);
        else newest.count(jobKey, newestOf(jobKey), [row.second], readHorizon());
      }
    }
    if (added.length > 0) writer.countRows(added.length);
    const told = tell(ended, changed);
    const place = inOrder.append([...told.ended, ...told.revised.map(({ record }) => record)].map(rowOf));
    return { changes: { news, ...told, place }, added, ended: endings };
  });

  const rowOf = ({ jobId, second, run }: ExecutionRecord): Row => ({ jobKey: keys.obtain(jobId), second, run });

  return (results) => {
    try {
      const { changes, added, ended } = write(results);
      segments.take(added, ended);
      return changes;
    } catch (error) {
      keys.forget();
      inOrder.forget();
      throw error;
    }
  };
}

/** What ended in a call, as it stands after it, and what ended otherwise. */
function tell(
  ended: ExecutionRecord[],
  changed: ReadonlyMap<string, Revision>,
): Pick<RecordChanges, "ended" | "revised"> {
  if (changed.size === 0) return { ended, revised: [] };
  const latest = ended.map((record) => changed.get(nameOf(record))?.record ?? record);
  const told = new Set(latest.map(nameOf));
  const others = [...changed.values()].filter(({ record }) => !told.has(nameOf(record)));
  return { ended: latest, revised: others.filter(({ record, was }) => endsOtherwise(was, record)) };
}

function endsOtherwise(before: ExecutionRecord, after: ExecutionRecord): boolean {
  return before.status !== after.status || before.decidedBy !== after.decidedBy;
}

function nameOf({ jobId, second, run }: ExecutionRecord): string {
  return `${jobId} ${second} ${run}`;
}
