import type { JobName } from "../store/named-jobs.ts";

const keyForm = "key=";

/** What a client's job_id names: a job's id, or its key behind "key=". No id has that form, whatever a key looks like. */
export function readJobName(text: string): JobName {
  return text.startsWith(keyForm) ? { key: text.slice(keyForm.length) } : text;
}

/** A name as clients write it. */
export function writeJobName(name: JobName): string {
  return typeof name === "string" ? name : keyForm + name.key;
}

/** The id of the job that is named; undefined when no job has the key. Whether there is a job of an id is not looked at. */
export async function findJobId(
  store: { findKeys(keys: readonly string[]): Promise<(string | undefined)[]> },
  name: JobName,
): Promise<string | undefined> {
  if (typeof name === "string") return name;
  const [jobId] = await store.findKeys([name.key]);
  return jobId;
}
