// node bullmq_steps.js <jobs> <concurrency> <processes>: a backlog of jobs that do nothing, worked off by workers of
// their own process. Prints {"steps", "seconds"}, from the first job begun to the last one ended.
import { fileURLToPath } from "node:url";
import { Queue, Worker } from "bullmq";
import { children, connection, jobOptions, queueName } from "./settings.js";

const [jobs, concurrency, processes] = process.argv.slice(2).map(Number);

async function fill(queue) {
  for (let start = 0; start < jobs; start += 1000) {
    const count = Math.min(1000, jobs - start);
    await queue.addBulk(Array.from({ length: count }, (_, n) => (
      { name: "step", data: { id: start + n }, opts: jobOptions })));
  }
}

async function measure() {
  const queue = new Queue(queueName, { connection });
  await queue.obliterate({ force: true });
  await fill(queue);
  const workers = await children(fileURLToPath(import.meta.url), processes, process.argv.slice(2));
  const said = workers.map(() => ({ done: 0, first: Infinity, last: 0 }));
  await new Promise((resolve) => workers.forEach((worker, n) => {
    worker.on("message", (message) => {
      said[n] = message;
      if (said.reduce((sum, each) => sum + each.done, 0) >= jobs) resolve();
    });
    worker.send("go");
  }));
  const first = Math.min(...said.map((each) => each.first));
  const last = Math.max(...said.map((each) => each.last));
  console.log(JSON.stringify({ steps: jobs, seconds: (last - first) / 1000 }));
  workers.forEach((worker) => worker.kill());
  await queue.obliterate({ force: true });
  await queue.close();
}

function work() {
  const told = { done: 0, first: Infinity, last: 0 };
  const now = () => performance.timeOrigin + performance.now();
  const worker = new Worker(queueName, async () => {
    if (told.first === Infinity) told.first = now();
    told.done += 1;
  }, { connection, concurrency, autorun: false });
  worker.on("completed", () => { told.last = now(); });
  worker.on("error", (error) => console.error(error));
  process.once("message", () => {
    worker.run();
    setInterval(() => told.last && process.send(told), 20);
  });
  worker.waitUntilReady().then(() => process.send("ready"));
}

if (process.send) work();
else await measure();
