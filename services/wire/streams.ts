import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "nats";
import type { Broker } from "../platform/jetstream/broker.ts";
import { subjectsOfStream } from "./subjects.ts";

export const streams = {
  jobs: "JOBS",
  due: "DUE",
  retry: "RETRY",
  lanes: "LANES",
  running: "RUNNING",
  results: "RESULTS",
  dead: "DEAD",
  ticks: "TICKS",
  claims: "KV_carillon_partitions",
} as const;

/** The durable consumers, by what they feed. */
export const consumers = { due: "executor", retry: "executor-retry", results: "history" } as const;

// A take-over publishes what its predecessor may have published: within this
// span the broker drops the repeats by message id.
const dedupeWindowMs = 120_000;
const hourMs = 3_600_000;
const weekMs = 7 * 24 * hourMs;
// A ticker's last tick is its watermark and must never expire: bounded by number, not by age.
const ticksKept = 3_600;
const workAckWaitMs = 5_000;
const resultsAckWaitMs = 10_000;
// Due batches that may be with executors at once; one holds up to 100 occurrences. Twice what one
// executor holds in memory, so that calls that take long keep nothing else from being delivered,
// and not more: what an overloaded executor gives back comes to it again and again.
const dueMaxAckPending = 8_192;
// A retry that waits was delivered and put back, and counts as pending until it is made: with a
// bound those that wait long would keep the others from being delivered.
const unlimited = -1;
// What history holds in memory at most while a commit is under way; a message has up to 200 results.
const resultsMaxAckPending = 512;

/** Newer than the client's types: batches that are stored as one (NATS ADR-50), and messages that expire (ADR-43). */
interface NewerOptions {
  allow_atomic?: boolean;
  allow_msg_ttl?: boolean;
}

type Definition = Pick<StreamConfig, "name" | "subjects"> & Partial<StreamConfig> & NewerOptions;

const definitions: readonly Definition[] = [
  {
    name: streams.jobs,
    subjects: [subjectsOfStream.jobs],
    max_msgs_per_subject: 1,
    allow_direct: true,
    // Brokers before 2.12 leave it out of their answer, and take one message at a time.
    allow_atomic: true,
    // Tombstones expire; brokers before 2.11 keep them.
    allow_msg_ttl: true,
  },
  { name: streams.due, subjects: [subjectsOfStream.due], retention: RetentionPolicy.Workqueue },
  { name: streams.retry, subjects: [subjectsOfStream.retry], retention: RetentionPolicy.Workqueue },
  // Read through a consumer a subject, which executors make and remove.
  {
    name: streams.lanes,
    subjects: [subjectsOfStream.lanes],
    retention: RetentionPolicy.Workqueue,
    // Brokers before 2.12 leave it out of their answer, and take one message at a time.
    allow_atomic: true,
  },
  { name: streams.running, subjects: [subjectsOfStream.running], retention: RetentionPolicy.Workqueue },
  // A work queue rather than a log: at 15,000 executions a second a log of one
  // day is 140 GB, and history is the one that keeps them.
  { name: streams.results, subjects: [subjectsOfStream.results], retention: RetentionPolicy.Workqueue },
  { name: streams.dead, subjects: [subjectsOfStream.dead], max_age: nanos(weekMs), allow_atomic: true },
  { name: streams.ticks, subjects: [subjectsOfStream.ticks], max_msgs_per_subject: ticksKept, allow_direct: true },
  // The shape of a NATS KV bucket, so that `nats kv` reads it.
  {
    name: streams.claims,
    subjects: [subjectsOfStream.claims],
    max_msgs_per_subject: 1,
    discard: DiscardPolicy.New,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
  },
];

const durables: readonly { stream: string; config: Partial<ConsumerConfig> & { durable_name: string } }[] = [
  {
    stream: streams.due,
    config: { durable_name: consumers.due, ack_wait: nanos(workAckWaitMs), max_ack_pending: dueMaxAckPending },
  },
  {
    stream: streams.retry,
    config: { durable_name: consumers.retry, ack_wait: nanos(workAckWaitMs), max_ack_pending: unlimited },
  },
  {
    stream: streams.results,
    config: {
      durable_name: consumers.results,
      ack_wait: nanos(resultsAckWaitMs),
      max_ack_pending: resultsMaxAckPending,
    },
  },
];

export interface StreamOptions {
  /** Copies of each stream in a cluster: 1, 3 or 5. */
  replicas: number;
}

/**
 * Makes sure, in one pass, that every stream and durable consumer stands with its
 * current definition. Throws while the broker's JetStream is not up; a stream
 * keeper (stream-keeper.ts) tries again.
 */
export async function ensureStreams(broker: Broker, { replicas }: StreamOptions): Promise<void> {
  for (const definition of definitions) await ensureStream(broker, definition, replicas);
  for (const { stream, config } of durables) await ensureConsumer(broker, stream, config);
}

async function ensureStream(broker: Broker, definition: Definition, replicas: number): Promise<void> {
  const config = {
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    num_replicas: replicas,
    duplicate_window: nanos(dedupeWindowMs),
    ...definition,
  };
  try {
    await broker.jsm.streams.add(config);
  } catch (error) {
    // It stands with another definition, of an older version or another number of replicas.
    if (!isApiError(error, streamNameInUse)) throw error;
    await broker.jsm.streams.update(definition.name, config);
  }
}

/** The consumer of one subject of LANES or RUNNING; several executors may make it at the same time. */
export async function ensureSubjectConsumer(
  broker: Broker,
  { stream, durable, subject }: { stream: string; durable: string; subject: string },
): Promise<void> {
  await ensureConsumer(broker, stream, {
    durable_name: durable,
    filter_subject: subject,
    ack_wait: nanos(workAckWaitMs),
    max_ack_pending: unlimited,
    inactive_threshold: nanos(hourMs),
  });
}

async function ensureConsumer(
  broker: Broker,
  stream: string,
  config: Partial<ConsumerConfig> & { durable_name: string },
): Promise<void> {
  const whole = { ack_policy: AckPolicy.Explicit, deliver_policy: DeliverPolicy.All, max_deliver: -1, ...config };
  try {
    await broker.jsm.consumers.add(stream, whole);
  } catch (error) {
    if (!isApiError(error, consumerExists)) throw error;
    await broker.jsm.consumers.update(stream, config.durable_name, whole);
  }
}

/** Whether a stream, as the broker describes it, takes batches that are stored as one. */
export function allowsAtomicBatches(config: StreamConfig & NewerOptions): boolean {
  return config.allow_atomic === true;
}

const streamNameInUse = 10_058;
const consumerExists = 10_148;

function isApiError(error: unknown, code: number): boolean {
  return error instanceof NatsError && error.api_error?.err_code === code;
}
