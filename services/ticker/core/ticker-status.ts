/** What a ticker tells of itself. */
export interface TickerStatus {
  /** Partitions. */
  owned: number;
  /** Owned partitions whose jobs are all in the timetable. */
  loaded: number;
  jobs: number;
  lowestWatermark: number | undefined;
  /** The last second that any partition has begun. It is ahead of now by the lead at most, unless the clock was set back. */
  highestSecond: number | undefined;
  /** Due messages without an acknowledgement. */
  outstanding: number;
  /** Publishes nothing: others may have taken over. */
  fenced: boolean;
  /** Knows the claims, the other tickers and all jobs of what it owns. */
  informed: boolean;
  /** Everything is given back after `stop`. */
  stopped: boolean;
}
