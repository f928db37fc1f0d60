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
  type StreamInfo,
} from "nats";
import type { Broker } from "../platform/jetstream/broker.ts";
import { leastBrokerBytes } from "../platform/process/common-settings.ts";
import { type BoundedStream, brokerBytes, shareOf } from "./stream-limits.ts";
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
// Of LANES and RUNNING, which have one for each subject. Brokers from 2.15 on let a stream that names no number have 1,000: a
// thousand targets that hang would keep the lanes of all others from being read.
const mostSubjectConsumers = 1_000_000;
// What history holds in memory at most while a commit is under way; a message has up to 200 results.
const resultsMaxAckPending = 512;

/** Newer than the client's types: batches that are stored as one (NATS ADR-50), and messages that expire (ADR-43). */
interface NewerOptions {
  allow_atomic?: boolean;
  allow_msg_ttl?: boolean;
}

type Config = Pick<StreamConfig, "name" | "subjects"> & Partial<StreamConfig> & NewerOptions;
type Definition = Config & { share: BoundedStream };

// Full, a stream refuses what is new: whoever publishes keeps it, and tries again. Two drop their oldest instead: dead
// letters, which nobody waits for, and ticks, of which the last one counts.
const definitions: readonly Definition[] = [
  {
    name: streams.jobs,
    share: "jobs",
    subjects: [subjectsOfStream.jobs],
    max_msgs_per_subject: 1,
    allow_direct: true,
    // Brokers before 2.12 leave it out of their answer, and take one message at a time.
    allow_atomic: true,
    // Tombstones expire; brokers before 2.11 keep them.
    allow_msg_ttl: true,
  },
  { name: streams.due, share: "due", subjects: [subjectsOfStream.due], retention: RetentionPolicy.Workqueue },
  { name: streams.retry, share: "retry", subjects: [subjectsOfStream.retry], retention: RetentionPolicy.Workqueue },
  // Read through a consumer a subject, which executors make and remove.
  {
    name: streams.lanes,
    share: "lanes",
    subjects: [subjectsOfStream.lanes],
    retention: RetentionPolicy.Workqueue,
    max_consumers: mostSubjectConsumers,
    // Brokers before 2.12 leave it out of their answer, and take one message at a time.
    allow_atomic: true,
  },
  {
    name: streams.running,
    share: "running",
    subjects: [subjectsOfStream.running],
    retention: RetentionPolicy.Workqueue,
    max_consumers: mostSubjectConsumers,
  },
  // A work queue rather than a log: at 15,000 executions a second a log of one
  // day is 140 GB, and history is the one that keeps them.
  {
    name: streams.results,
    share: "results",
    subjects: [subjectsOfStream.results],
    retention: RetentionPolicy.Workqueue,
  },
  {
    name: streams.dead,
    share: "dead",
    subjects: [subjectsOfStream.dead],
    max_age: nanos(weekMs),
    allow_atomic: true,
    // Whoever lists them reads without a consumer.
    allow_direct: true,
    discard: DiscardPolicy.Old,
  },
  {
    name: streams.ticks,
    share: "ticks",
    subjects: [subjectsOfStream.ticks],
    max_msgs_per_subject: ticksKept,
    allow_direct: true,
    discard: DiscardPolicy.Old,
  },
  // The shape of a NATS KV bucket, so that `nats kv` reads it.
  {
    name: streams.claims,
    share: "claims",
    subjects: [subjectsOfStream.claims],
    max_msgs_per_subject: 1,
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
  /** What all streams together may take on one server; without it the account's limit says so. */
  brokerMaxBytes?: number | undefined;
}

/**
 * Makes sure, in one pass, that every stream and durable consumer stands with its
 * current definition. Throws while the broker's JetStream is not up; a stream
 * keeper (stream-keeper.ts) tries again.
 *
 * Where the broker has less room than the streams are to have (`mostBytes`, or else
 * what the options say), they get half of it, and half of that.
 */
export async function ensureStreams(
  broker: Broker,
  { replicas, brokerMaxBytes }: StreamOptions,
  mostBytes?: number,
): Promise<{ askedBytes: number; bytes: number }> {
  const askedBytes = mostBytes ?? brokerBytes(brokerMaxBytes, await broker.jsm.getAccountInfo(), replicas);
  let bytes = askedBytes;
  for (;;) {
    try {
      for (const definition of definitions) await ensureStream(broker, definition, replicas, bytes);
      break;
    } catch (error) {
      if (!isApiError(error, ...noRoom) || bytes <= leastBrokerBytes) throw error;
      bytes = Math.max(leastBrokerBytes, Math.floor(bytes / 2));
    }
  }
  for (const { stream, config } of durables) await ensureConsumer(broker, stream, config);
  return { askedBytes, bytes };
}

async function ensureStream(
  broker: Broker,
  { share, ...definition }: Definition,
  replicas: number,
  bytes: number,
): Promise<void> {
  const config = {
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    num_replicas: replicas,
    duplicate_window: nanos(dedupeWindowMs),
    discard: DiscardPolicy.New,
    max_bytes: shareOf(share, bytes),
    ...definition,
  };
  try {
    await broker.jsm.streams.add(config);
  } catch (error) {
    // It may stand with another definition: of an older version, another number of replicas, or other limits.
    if (!isApiError(error, streamNameInUse, ...noRoom)) throw error;
    const stream = await broker.jsm.streams.info(definition.name).catch((reason: unknown) => {
      throw isApiError(reason, streamNotFound) ? error : reason;
    });
    await updateStream(broker, stream, config);
  }
}

async function updateStream(
  broker: Broker,
  { state, config: before }: StreamInfo,
  config: Config & { max_bytes: number },
): Promise<void> {
  // What is in it stays in it: it gets its share once it has come down to that.
  const inItBytes = config.discard === DiscardPolicy.Old ? 0 : state.bytes;
  const maxBytes = Math.max(config.max_bytes, inItBytes);
  const update = (changes: Partial<StreamConfig>) =>
    broker.jsm.streams.update(config.name, { ...config, ...changes, max_bytes: maxBytes });
  try {
    await update({}).catch((error: unknown) => {
      // Older brokers do not let the number of consumers change, and have no limit where none was named.
      if (!isApiError(error, notChangeable)) throw error;
      return update({ max_consumers: before.max_consumers });
    });
  } catch (error) {
    // A broker that has promised more than it has by now refuses to promise less as well: the stream keeps its limit.
    if (!isApiError(error, ...noRoom) || before.max_bytes < maxBytes) throw error;
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

/** Whether a full stream, as the broker describes it, drops its oldest for what is new, and refuses nothing. */
export function dropsOldest(config: StreamConfig): boolean {
  return config.discard === DiscardPolicy.Old;
}

/** Whether a stream, as the broker describes it, takes batches that are stored as one. */
export function allowsAtomicBatches(config: StreamConfig & NewerOptions): boolean {
  return config.allow_atomic === true;
}

/** The account's storage, the storage of each server of a cluster, the server's resources, its storage. */
const noRoom = [10_002, 10_005, 10_023, 10_047] as const;
const streamNotFound = 10_059;
const notChangeable = 10_052;
const streamNameInUse = 10_058;
const consumerExists = 10_148;

function isApiError(error: unknown, ...codes: readonly number[]): boolean {
  return error instanceof NatsError && codes.includes(error.api_error?.err_code ?? 0);
}
