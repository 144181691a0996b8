// Runs Supabase's own client of PostgREST against the address given as the first argument, with the key given as the second.
// Each line of standard input is one call, a chain of the client's methods:
//   {"from": "contacts", "do": [["select", "*"], ["eq", "email", "ada@example.org"]]}
//   {"headers": {"apikey": "…"}}   other headers from now on
// Each line of standard output is an answer: what the client made of the response, and how it departs from the client's types.
'use strict';

const readline = require('node:readline');
const { PostgrestClient } = require('@supabase/postgrest-js');

const [, , url, key] = process.argv;

// A response of the client has these, whatever came of the call.
const RESPONSE = ['count', 'data', 'error', 'status', 'statusText'];
const ERROR = ['code', 'details', 'hint', 'message'];

let client;
function connect(headers) {
  client = new PostgrestClient(`${url}/rest/v1`, { headers });
}

function complaints(response) {
  const missing = RESPONSE.filter((name) => !(name in response));
  const { error, data, status } = response;
  if (error) {
    // The gateway in front of the API has errors of its own, without a code.
    if (error.code) missing.push(...ERROR.filter((name) => !(name in error)));
    if (data !== null) missing.push('data beside an error');
    if (typeof error.message !== 'string') missing.push('message: not string');
  } else if (status >= 300) {
    missing.push('no error');
  }
  return missing;
}

async function run(step) {
  let call = client.from(step.from);
  for (const [method, ...given] of step.do) call = call[method](...given);
  const response = await call;
  const { status, data, count, error } = response;
  return { status, data, count, error: error && { ...error, message: error.message }, complaints: complaints(response) };
}

async function main() {
  connect({ apikey: key });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer = {};
    try {
      const step = JSON.parse(line);
      if (step.headers) connect(step.headers);
      else answer = await run(step);
    } catch (error) {
      answer = { thrown: String(error.stack) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

main();
