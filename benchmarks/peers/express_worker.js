// node express_worker.js <concurrency> <processes>: one job a node. Each renders its templates, writes the intent, "sends",
// writes the outcome together with where the trigger stands, and adds the next node's job.
import { fileURLToPath } from "node:url";
import { Queue, Worker } from "bullmq";
import { Liquid } from "liquidjs";
import pg from "pg";
import { children, connection, jobOptions, queueName } from "./settings.js";

const [concurrency, processes] = process.argv.slice(2).map(Number);
// Within PostgreSQL's usual hundred connections, for all processes of the comparison together.
const MOST_CONNECTIONS = 32;

function work() {
  const sql = JSON.parse(process.env.PEER_SQL);
  const workflow = JSON.parse(process.env.PEER_WORKFLOW);
  const liquid = new Liquid();
  const defaults = { email: { to: "{{ recipient.email }}" }, sms: { to: "{{ recipient.phone }}" } };
  const nodes = new Map(workflow.nodes.map((node) => {
    const fields = { ...defaults[node.type], ...node };
    const templates = Object.entries(fields)
      .filter(([name]) => ["to", "subject", "body"].includes(name))
      .map(([name, source]) => [name, liquid.parse(source)]);
    const edge = workflow.edges.find((each) => each.from === node.id);
    return [node.id, { type: node.type, templates, next: edge?.to ?? "" }];
  }));
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Math.min(concurrency, MOST_CONNECTIONS) });
  const queue = new Queue(queueName, { connection, defaultJobOptions: jobOptions });

  const worker = new Worker(queueName, async (job) => {
    const { id, recipient, context } = job.data;
    const node = nodes.get(job.name);
    const stepId = crypto.randomUUID();
    await pool.query({ name: "intent", text: sql.intent, values: [stepId, id, job.name, node.type] });
    const names = { ...context, recipient, trigger: { id }, workflow: { key: workflow.key } };
    const message = {};
    for (const [name, template] of node.templates) message[name] = liquid.renderSync(template, names);
    if (!message.to) throw new Error("to rendered to nothing");
    // Here a provider would be called; as on the other side it does nothing.
    const outcome = [stepId, `${id}.${job.name}`, id, node.next];
    await pool.query({ name: "outcome", text: sql.outcome, values: outcome });
    if (node.next) await queue.add(node.next, job.data);
  }, { connection, concurrency });
  worker.on("failed", (job, error) => console.error(error));
  worker.on("error", (error) => console.error(error));
  worker.waitUntilReady().then(() => process.send("ready"));
}

if (process.send) {
  work();
} else {
  await children(fileURLToPath(import.meta.url), processes, process.argv.slice(2));
  console.log("ready");
}
