import { eventually, restClient } from "./rest.ts";

/** The (job, second) pairs of a span that are missing among those that arrived. */
export function missing(
  jobIds: readonly string[],
  fromSecond: number,
  toSecond: number,
  seen: ReadonlySet<string>,
): string[] {
  const lost: string[] = [];
  for (const jobId of jobIds) {
    for (let second = fromSecond; second <= toSecond; second++) {
      if (!seen.has(`${jobId}-${second}`)) lost.push(`${jobId}-${second}`);
    }
  }
  return lost;
}

/** The execution ids that history has on record for these jobs, over all pages. */
export async function recordedIds(httpUrl: string, jobIds: readonly string[]): Promise<Set<string>> {
  const rest = restClient(httpUrl);
  const ids = new Set<string>();
  for (const jobId of jobIds) {
    let token = "";
    do {
      const path = `/jobs/${jobId}/executions?page_size=1000&page_token=${encodeURIComponent(token)}`;
      const answer = await eventually(
        () => rest.get(path).catch(() => ({ status: 0, body: undefined })),
        ({ status }) => status === 200,
      );
      for (const execution of answer.body.executions) ids.add(execution.execution_id);
      token = answer.body.next_page_token ?? "";
    } while (token !== "");
  }
  return ids;
}
