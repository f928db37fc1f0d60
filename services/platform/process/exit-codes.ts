/** How a process of Carillon ends: a service, the launcher and the demo alike. */
export const exitCodes = {
  /** It was asked to stop, and everything was finished in order. */
  stopped: 0,
  /** It could not start, could not stop in order or in time, or crashed. Starting it again may help. */
  failed: 1,
  /** The configuration is not valid. Nothing was started, and starting it again would change nothing. */
  badConfiguration: 2,
} as const;
