// node obliterate.js: removes the queue of this run from Redis.
import { Queue } from "bullmq";
import { connection, queueName } from "./settings.js";

const queue = new Queue(queueName, { connection });
await queue.obliterate({ force: true });
await queue.close();
