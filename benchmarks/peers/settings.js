// What the Node peers share: where Redis is, how jobs are kept, how a process is split into several.
import { fork } from "node:child_process";

const url = new URL(process.env.REDIS_URL);

export const connection = {
  host: url.hostname,
  port: Number(url.port || 6379),
  db: Number(url.pathname.slice(1) || 0),
  username: url.username || undefined,
  password: url.password || undefined,
  maxRetriesPerRequest: null,
};
export const queueName = process.env.PEER_QUEUE;

// The queue settings of a notification service that somebody would write on BullMQ. Its limiter of ten jobs a second
// is left out, and its concurrency is chosen by trial, since either would only make the peer slower.
export const jobOptions = {
  attempts: 3,
  backoff: { type: "exponential", delay: 2000 },
  removeOnComplete: { count: 100, age: 24 * 3600 },
  removeOnFail: { count: 50 },
};

// Starts `count` children of a script and resolves once each has said "ready". Whoever
// started this process ends its whole group.
export async function children(script, count, args) {
  const started = Array.from({ length: count }, () => fork(script, args));
  await Promise.all(started.map((child) => new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`a child ended with ${code}`)));
  })));
  return started;
}
