/** A reading of both clocks. The wall clock may jump; the monotonic one never goes back. */
export interface Now {
  wallMs: number;
  monotonicMs: number;
}
