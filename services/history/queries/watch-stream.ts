import { afterThisTurn } from "../../platform/process/clock.ts";
import { invalidField, RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import type { EndingPlace, HistoryStore } from "../store/contract.ts";
import { decodeResumeToken } from "./resume-token.ts";
import type { Told, Watch, Watchers } from "./watchers.ts";

const pageRows = 200;

export interface WatchStream {
  /** What ended behind the token, if there is one, and then what ends. */
  told(): AsyncGenerator<Told>;
  close(): void;
}

/**
 * Begins a watch, where a token says. First comes what is in the store, a page at a time, however much it is and however
 * slowly it is read; only then what is announced, so that no buffer has to hold the one during the other.
 * Throws INVALID_ARGUMENT and OUT_OF_RANGE for tokens that cannot be gone on from.
 */
export async function openWatchStream(
  request: { jobId: string; resumeToken: string; bookmarks: boolean },
  deps: { store: Pick<HistoryStore, "endedSince" | "lastEnding">; watchers: Pick<Watchers, "watch"> },
): Promise<WatchStream> {
  const { store } = deps;
  const { jobId, resumeToken, bookmarks } = request;
  const resumed = resumeToken === "" ? undefined : decodeResumeToken(jobId, resumeToken);
  if (resumeToken !== "" && !resumed) {
    throw invalidField("resume_token", "is not a resume_token of this job", "RESUME_TOKEN_INVALID");
  }
  const watch: Watch = deps.watchers.watch(jobId, { bookmarks });
  // The first bookmark must lie before all that this stream tells, as a token does.
  const from = resumed ?? (bookmarks ? await store.lastEnding() : undefined);
  const page = async (place: EndingPlace) => {
    const since = await store.endedSince(jobId, place, pageRows);
    if (!since || since.forgotten > 0) throw tooOld();
    return since;
  };
  /** All that the store has; returns the place behind it. */
  async function* catchUp(first: EndingPlace): AsyncGenerator<Told, EndingPlace> {
    for (let place = first; ; ) {
      const since = await page(place);
      yield* since.endings;
      if (since.done || watch.isOver()) return since.place;
      place = since.place;
      // A long way back is no reason to keep others from their turn.
      await new Promise<void>((resolve) => afterThisTurn(resolve));
    }
  }
  try {
    // What cannot be gone on from is refused before the stream opens. Nothing to go on from: what ends from here on.
    if (from) await page(from);
    else watch.listen();
  } catch (error) {
    watch.close();
    throw error;
  }
  return {
    close: watch.close,
    async *told() {
      let place = from;
      if (place) {
        place = yield* catchUp(place);
        watch.listen();
        // What ended between the last look and this moment.
        place = yield* catchUp(place);
      }
      if (bookmarks && place) yield { place };
      for await (const one of watch) {
        if (!place || isBehind(one.place, place)) yield one;
      }
    },
  };
}

function isBehind(one: EndingPlace, other: EndingPlace): boolean {
  return one.commit > other.commit || (one.commit === other.commit && one.count > other.count);
}

function tooOld(): RpcError {
  const message = "what ended since is not all known any more: list the executions, and watch without resume_token";
  return new RpcError("OUT_OF_RANGE", message, { reason: "RESUME_TOKEN_TOO_OLD" });
}
