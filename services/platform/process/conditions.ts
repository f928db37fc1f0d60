/** One of the things that must hold for a service to do its work. */
export interface Condition {
  name: string;
  ok: boolean;
  /** How it stands, in words; when it does not hold, what that means. */
  message: string;
}

/** What stands still for so long is in trouble: well over what an election of the broker takes. */
export const troubledAfterMs = 10_000;

/** A span in words. */
export function inSeconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

/** What `/readyz` answers with. */
export interface Readiness {
  status: "ready" | "not_ready";
  conditions: readonly Condition[];
}

export function readinessOf(conditions: readonly Condition[]): Readiness {
  return { status: conditions.every(({ ok }) => ok) ? "ready" : "not_ready", conditions };
}

/** A condition that holds unless there is a problem, in words. */
export function conditionOf(name: string, problem: string | false | undefined): Condition {
  return { name, ok: !problem, message: problem || "as it should be" };
}
