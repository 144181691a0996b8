// Runs jsforce against the address given as the first argument, with the access token given as the second. Each line
// of standard input is one step:
//   {"call": "describe", "with": ["Contact"]}   a method of the connection, or of what it has, such as `oauth2`
//   {"connect": {"accessToken": "…"}}           another connection from now on
//   {"assertion": {"sub": "…", …}}              a signed JWT with these claims
// Each line of standard output is an answer: what the client returned or threw, and the limit that it saw.
'use strict';

const crypto = require('node:crypto');
const readline = require('node:readline');
const { Connection, OAuth2 } = require('jsforce');

const instanceUrl = process.argv[2];
// Made when it is needed, because that takes a while.
let pair;
const keys = () => (pair ??= crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }));

function connect(options) {
  const { oauth2, ...rest } = options;
  return new Connection({
    instanceUrl, version: '68.0', ...rest,
    ...(oauth2 && { oauth2: new OAuth2({ loginUrl: instanceUrl, ...oauth2 }) }),
  });
}

function assertion(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const message = `${part({ alg: 'RS256' })}.${part(claims)}`;
  return `${message}.${crypto.sign('sha256', Buffer.from(message), keys().privateKey).toString('base64url')}`;
}

// The three files of a bulk job.
async function bulk(connection, { object, operation, externalIdFieldName, csv, lineEnding }) {
  const job = connection.bulk2.createJob({ object, operation, externalIdFieldName, lineEnding });
  await job.open();
  await job.uploadData(csv);
  await job.close();
  return job.id;
}

// A job that is aborted after its file was uploaded.
async function abort(connection, { object, operation, externalIdFieldName, csv }) {
  const job = connection.bulk2.createJob({ object, operation, externalIdFieldName, lineEnding: 'LF' });
  await job.open();
  await job.uploadData(csv);
  await job.abort();
  return job.id;
}

async function results(connection, id) {
  const job = connection.bulk2.job('ingest', { id });
  const info = await job.check();
  if (!['JobComplete', 'Failed', 'Aborted'].includes(info.state)) return { info };
  return {
    info, successful: await job.getSuccessfulResults(), failed: await job.getFailedResults(),
    unprocessed: await job.getUnprocessedRecords(),
  };
}

async function run(connection, { call, with: given = [] }) {
  const own = { bulk, abort, results };
  if (own[call]) return own[call](connection, ...given);
  const path = call.split('.');
  const method = path.pop();
  const api = path.reduce((api, name) => api[name], connection);
  return api[method](...given);
}

async function main() {
  let connection = connect({ accessToken: process.argv[3] });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    const answer = {};
    try {
      if (step.connect) {
        connection = connect(step.connect);
        answer.value = null;
      } else if (step.assertion) {
        const key = keys().publicKey.export({ type: 'pkcs1', format: 'der' }).toString('base64');
        answer.value = { key, assertion: assertion(step.assertion) };
      } else {
        answer.value = (await run(connection, step)) ?? null;
      }
    } catch (error) {
      const { name, message, errorCode: code = null, content = null } = error;
      answer.error = { name, code, message, content };
    }
    const { accessToken, refreshToken, limitInfo } = connection;
    process.stdout.write(`${JSON.stringify({ ...answer, accessToken, refreshToken, limits: limitInfo })}\n`);
  }
}

main();
