import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { defineJob } from "../../services/registry/jobs/job-definition.ts";
import { changedJob, encodeRow, newJob, viewOf } from "../../services/registry/jobs/stored-job.ts";
import { encodeRowEvent } from "../../services/registry/relay/row-event.ts";
import { readJobChange } from "../../services/ticker/io/job-change.ts";
import { scheduleOf, secondNotBefore } from "../../services/wire/job-schedule.ts";

const jobId = "0199c0de-0000-7000-8000-000000000001";
const createdMs = 1_764_000_000_987;

type Fields = MessageInitShape<typeof JobSchema>;

const schedules: [string, Fields][] = [
  ["a pattern of seconds", { schedule: "*/5 * * * * *" }],
  ["a hashed pattern", { schedule: "H H * * *" }],
  ["a pattern in a zone", { schedule: "30 2 * * *", timeZone: "Europe/Berlin" }],
  ["a pattern of days in a zone", { schedule: "0 0 L * *", timeZone: "America/New_York" }],
  ["an interval", { schedule: "@every 7s" }],
  ["an interval with a start", { schedule: "@every 7s", startTime: instant(1_764_000_100n, 1) }],
  ["a pattern with a start", { schedule: "* * * * * *", startTime: instant(1_764_000_100n, 999_999_999) }],
  ["a pattern with an end", { schedule: "* * * * * *", endTime: instant(1_764_000_020n, 1) }],
  ["an instant", { schedule: "@at 2025-12-24T18:00:00+01:00" }],
];

const jobOf = (fields: Fields) => defineJob(create(JobSchema, { apiEndpoint: "http://127.0.0.1:9/", ...fields }));

describe("a job's schedule", () => {
  it.each(schedules)("is kept by the ticker as the registry promised it: %s", (_, fields) => {
    const record = newJob(jobId, jobOf(fields), createdMs);
    const read = readJobChange(jobId, encodeRowEvent(encodeRow(record), 1), 1);
    if (!read.ok || read.change.kind !== "active") throw new Error(`not in the timetable: ${JSON.stringify(read)}`);
    let second = Math.floor(createdMs / 1000);
    for (let i = 0; i < 40; i++) {
      const promised = viewOf(record, second * 1000).nextRunTime;
      expect(read.change.occurrences.nextAfter(second)).toBe(promised && Number(promised.seconds));
      if (!promised) return;
      second = Number(promised.seconds);
    }
  });

  it("is out of the timetable once it has ended, whole in the registry", () => {
    const record = newJob(jobId, jobOf({ schedule: "@at 2025-12-24T18:00:00+01:00" }), createdMs);
    expect([record.lastSecond, record.ended]).toEqual([1_766_595_600, false]);
    const event = encodeRowEvent({ ...encodeRow(record), ended: true }, 1);
    expect(readJobChange(jobId, event, 1)).toEqual({ ok: true, change: { kind: "gone", jobId } });
  });

  it("tells its last second where it has one, and begins to end anew with another timing", () => {
    const ends = (fields: Fields) => newJob(jobId, jobOf(fields), createdMs).lastSecond;
    expect(ends({ schedule: "* * * * * *" })).toBeUndefined();
    expect(ends({ schedule: "@every 7s" })).toBeUndefined();
    expect(ends({ schedule: "@every 7s", endTime: instant(1_764_000_020n, 0) })).toBe(1_764_000_019);
    const ended = { ...newJob(jobId, jobOf({ schedule: "* * * * * *" }), createdMs), ended: true };
    const definition = jobOf({ schedule: " @at 2030-01-01T00:00:00Z" });
    expect(changedJob(ended, { retimed: false, definition, nowMs: createdMs })).toMatchObject({ ended: true });
    const edited = changedJob(ended, { retimed: true, definition, nowMs: createdMs });
    expect(edited).toMatchObject({ ended: false, lastSecond: 1_893_456_000 });
  });

  it.each(schedules)("is kept by the ticker after an edit, up to the edit: %s", (_, fields) => {
    const record = newJob(jobId, jobOf(fields), createdMs);
    const nowMs = createdMs + 5_000;
    const edited = changedJob(record, { retimed: true, definition: jobOf({ schedule: "@yearly" }), nowMs });
    const read = readJobChange(jobId, encodeRowEvent(encodeRow(edited), 1), 8);
    if (!read.ok || read.change.kind !== "active") throw new Error(`not in the timetable: ${JSON.stringify(read)}`);
    const [timing] = read.change.earlier;
    expect(timing).toMatchObject({
      timingGeneration: 1,
      effectiveFromMs: createdMs,
      untilMs: nowMs,
      timingSequence: 8,
    });
    expect(timing?.occurrences.key).toBe(keyOf(scheduleOf(record.job)));
  });

  it.each(schedules)("is the same before the job has its id and creation in it: %s", (_, fields) => {
    const definition = jobOf(fields);
    const { job } = newJob(jobId, definition, createdMs);
    expect(keyOf(scheduleOf(definition, jobId, Math.floor(createdMs / 1000)))).toBe(keyOf(scheduleOf(job)));
  });

  it("hashes the job's own id, and counts from its creation", () => {
    const key = (fields: Fields) => keyOf(scheduleOf(create(JobSchema, { jobId, schedule: "H H * * *", ...fields })));
    expect(key({ jobId: "other" })).not.toBe(key({}));
    const every = { schedule: "@every 1h", createdAt: { seconds: 1_764_000_001n, nanos: 999_999_999 } };
    expect(key(every)).toBe(
      key({ schedule: "@every 1h", startTime: { seconds: 1_764_000_001n } })?.replace(/ from \d+/, ""),
    );
  });

  it("begins and ends at the first whole second that is not before the instant", () => {
    expect([0, 1, 999_999_999].map((nanos) => secondNotBefore(instant(7n, nanos)))).toEqual([7, 8, 8]);
    const given = { schedule: "* * * * * *", startTime: instant(100n, 1), endTime: instant(102n, 1) };
    const parsed = scheduleOf(create(JobSchema, given));
    if (!parsed.ok) throw new Error(parsed.reason);
    const due = [99, 100, 101, 102].map((second) => parsed.schedule.nextAfter(second));
    expect(due).toEqual([101, 101, 102, undefined]);
  });
});

function keyOf(parsed: ReturnType<typeof scheduleOf>): string {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.schedule.key;
}

function instant(seconds: bigint, nanos: number) {
  return { $typeName: "google.protobuf.Timestamp" as const, seconds, nanos };
}
