/** What the registry knows of the JOBS stream that it publishes to. */
export interface StreamMark extends RebuildProgress {
  /** The creation instant that the broker gives the stream; empty before the first. */
  created: string;
  /** The highest sequence that the broker has acknowledged. */
  sequence: number;
}

export interface RebuildProgress {
  /** Of JOBS: how many streams it has been, counted with the losses within one. Part of each message id. */
  edition: number;
  /** While the stream is filled anew: jobs up to this id are in it ("": none yet). Undefined when it is whole. */
  rebuiltUpTo: string | undefined;
}
