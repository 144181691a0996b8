// Runs Directus' own SDK against the address given as the first argument, with the token given as the second.
// Each line of standard input is one command of the SDK with its arguments:
//   ["readItems", "supporters", {"fields": ["email"]}]
//   ["as", "TOKEN"]   another token from now on
// Each line of standard output is an answer: {"ok": what the command returned} or {"errors": what Directus answered}.
'use strict';

const readline = require('node:readline');
const sdk = require('@directus/sdk');

const [, , url, token] = process.argv;

const connect = (token) => sdk.createDirectus(url).with(sdk.staticToken(token)).with(sdk.rest());

async function main() {
  let client = connect(token);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      const [command, ...given] = JSON.parse(line);
      if (command === 'as') {
        client = connect(given[0]);
        answer = { ok: null };
      } else {
        answer = { ok: (await client.request(sdk[command](...given))) ?? null };
      }
    } catch (error) {
      answer = { errors: error.errors ?? String(error.stack) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

main();
