// Sends each contact to an HTTP API, several at the same time. Needs Node 18, and the variables API_URL and API_TOKEN.
import { createInterface } from "node:readline";

const { API_URL, API_TOKEN } = process.env;
const write = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

async function call(method, path, key, body) {
  const headers = { authorization: `Bearer ${API_TOKEN}`, "content-type": "application/json" };
  if (key) headers["idempotency-key"] = key;
  const signal = AbortSignal.timeout(15_000);
  return fetch(API_URL + path, { method, headers, signal, body: body && JSON.stringify(body) });
}

async function deliver({ key, change, record }) {
  const { email, firstName } = record.contact;
  if (!email) return { outcome: "reject", reason: "the contact has no e-mail address" };
  const path = `/contacts/${encodeURIComponent(email)}`;
  // "none": the person neither agreed nor opted out, so their status is left as it is.
  const status = { none: undefined, subscribe: "subscribed", unsubscribe: "unsubscribed", suppress: "bounced" }[change];
  const response =
    change === "remove" ? await call("DELETE", path, key) : await call("PUT", path, key, { firstName, status });
  const answered = `answered ${response.status}`;
  if (response.status === 404 && change === "remove") return { outcome: "skip", reason: "nobody is there" };
  if (response.status === 401 || response.status === 403) return { outcome: "halt", reason: answered };
  const after_s = Number(response.headers.get("retry-after")) || 60;
  if (response.status === 429) return { outcome: "busy", reason: answered, after_s };
  if (response.status >= 500) return { outcome: "retry", reason: answered };
  if (!response.ok) return { outcome: "reject", reason: answered };
  const id = response.status === 204 ? undefined : (await response.json()).id;
  return { outcome: "delivered", id };
}

async function check() {
  const response = await call("GET", "/account");
  return response.ok ? { ok: true } : { error: `the API answered ${response.status}` };
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  // Not awaited: the next line is read while this request is under way.
  if (message.check) check().then(write, (error) => write({ error: error.message }));
  else
    deliver(message)
      .catch((error) => ({ outcome: "retry", reason: error.message }))
      .then((answer) => write({ key: message.key, ...answer }));
}
