// A consumer of a Proca queue as its documentation shows it: `@proca/queue` with a function that gets each action.
//
//   node consumer.mjs URL QUEUE CONCURRENCY COUNT none|file|fetch|http [FOLDER or URL] [KEYSTORE]
//
// Prints "handled COUNT" after COUNT messages, and goes on until it is killed.

import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

// The package's build for `import` fails on Node ("Dynamic require of crypto is not supported"); that for `require` works.
const require = createRequire(import.meta.url);
const { loadKeyStoreFromString } = require("@proca/crypto");
const { syncQueue } = require("@proca/queue");

const [url, queue, concurrency, count, what, where, keys] = process.argv.slice(2);
const goal = Number(count);
let handled = 0;

// Connections are kept, as many as messages are in work: the best that this design can do.
const agent = new Agent({ keepAlive: true, maxSockets: Number(concurrency) });

function post(body) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const call = request(where, { method: "POST", agent, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode === 200));
    });
    call.on("error", reject);
    call.end(body);
  });
}

function contactOf({ contact, privacy, campaign, action }) {
  return JSON.stringify({ ...contact, subscribed: Boolean(privacy?.optIn), campaign: campaign.name, action });
}

const kinds = {
  // Stores nothing, sends nothing.
  none: async () => true,
  // One file of JSON for each message.
  file: async (action) => {
    await writeFile(join(where, `${action.actionId}.json`), JSON.stringify(action, null, 2));
    return true;
  },
  // What proca-sync's connectors do: make the CRM's contact of it, `fetch`, and read the answer. Many of them call more
  // than once for a message; this one does not.
  fetch: async (action) => {
    const answer = await fetch(where, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: contactOf(action),
    });
    await answer.json();
    return answer.ok;
  },
  // The same with Node's older client, which costs a fraction of that.
  http: (action) => post(contactOf(action)),
};

const handle = kinds[what];
const keyStore = keys ? loadKeyStoreFromString(readFileSync(keys, "utf8")) : undefined;

await syncQueue(
  url,
  queue,
  async (action) => {
    const done = await handle(action);
    if (keyStore && !action.contact.email) throw new Error("a message was not decrypted");
    handled += 1;
    if (handled === goal) console.log(`handled ${handled}`);
    return done;
  },
  { concurrency: Number(concurrency), keyStore, tag: "peer" },
);
