// node express_api.js <port> <processes>: POST /api/v1/triggers/ as somebody would write it with Express: JWT, body
// checked by a schema, the same row inserted and committed, then a job for the first node.
import cluster from "node:cluster";
import { randomBytes } from "node:crypto";
import Ajv from "ajv";
import { Queue } from "bullmq";
import express from "express";
import jwt from "jsonwebtoken";
import pg from "pg";
import { connection, jobOptions, queueName } from "./settings.js";

const [port, processes] = process.argv.slice(2).map(Number);
const sql = JSON.parse(process.env.PEER_SQL);
const secret = process.env.PEER_JWT_SECRET;

const isValid = new Ajv({ allErrors: true }).compile({
  type: "object",
  additionalProperties: false,
  required: ["workflow", "idempotency_key"],
  properties: {
    workflow: { type: "string", minLength: 1, maxLength: 100 },
    idempotency_key: { type: "string", minLength: 1, maxLength: 255 },
    recipient: { type: "object" },
    context: { type: "object" },
    priority: { enum: ["critical", "high", "medium", "low"] },
  },
});

// As in RFC 9562: ids that grow keep the indexes as dense as the other side's.
function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function authenticate(request, response, next) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  try {
    if (scheme !== "Bearer") throw new Error("no bearer token");
    request.user = jwt.verify(token, secret, { algorithms: ["HS256"] });
  } catch {
    response.status(401).json({ error: "not_authenticated" });
    return;
  }
  if (request.user.role !== "triggerOperator") response.status(403).json({ error: "permission_denied" });
  else next();
}

function serve() {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 });
  const queue = new Queue(queueName, { connection, defaultJobOptions: jobOptions });
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(express.json({ limit: "2mb" }));
  app.get("/healthz", (request, response) => response.json({ status: "ok" }));
  app.post("/api/v1/triggers/", authenticate, async (request, response) => {
    const { body } = request;
    if (!isValid(body)) {
      response.status(400).json({ errors: isValid.errors });
      return;
    }
    const { workflow, idempotency_key: key, recipient = {}, context = {} } = body;
    const id = uuid7();
    const values = [id, workflow, key, JSON.stringify(recipient), JSON.stringify(context)];
    const { rows } = await pool.query({ name: "insert", text: sql.trigger, values });
    if (rows.length === 0) {
      response.status(200).set("Idempotent-Replayed", "true").json({ idempotency_key: key });
      return;
    }
    const [row] = rows;
    await queue.add(row.current_node_id, { id, recipient, context });
    response.status(202).json({ ...row, idempotency_key: key, status: "enqueued", recipient, context });
  });
  app.listen(port, "127.0.0.1", 8192);
}

if (cluster.isPrimary) {
  for (let n = 0; n < processes; n += 1) cluster.fork();
} else {
  serve();
}
