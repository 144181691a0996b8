// Runs Mailchimp's own client against the address given as the first argument, with the key given as the second. Each line
// of standard input is one call: {"call": "lists.getListMember", "with": ["57afe96172", "…"]}. Each line of standard output
// is an answer: what the client returned, and how members in it depart from what Mailchimp documents.
'use strict';

const readline = require('node:readline');
const mailchimp = require('@mailchimp/mailchimp_marketing');

const [, , url, apiKey] = process.argv;

// The client does not check what it receives. The fields and types of a member, as the reference of the API lists them.
const MEMBER = {
  id: 'string', email_address: 'string', unique_email_id: 'string', contact_id: 'string', full_name: 'string',
  web_id: 'number', email_type: 'string', status: 'string', unsubscribe_reason: 'string?',
  consents_to_one_to_one_messaging: 'boolean', merge_fields: 'object', interests: 'object', stats: 'object',
  ip_signup: 'string', timestamp_signup: 'string', ip_opt: 'string', timestamp_opt: 'string', member_rating: 'number',
  last_changed: 'string', language: 'string', vip: 'boolean', email_client: 'string', marketing_permissions: 'object?',
  source: 'string', tags_count: 'number', tags: 'object', list_id: 'string', _links: 'object',
};

function complaints(value) {
  if (value === null || typeof value !== 'object') return [];
  if (Array.isArray(value)) return value.flatMap(complaints);
  if (!('email_address' in value && 'last_changed' in value)) return Object.values(value).flatMap(complaints);
  const unknown = Object.keys(value).filter((name) => !(name in MEMBER)).map((name) => `${name}: unknown`);
  const wrong = Object.entries(MEMBER).filter(([name, type]) => {
    if (!(name in value)) return !type.endsWith('?');
    return typeof value[name] !== type.replace('?', '');
  });
  return [...unknown, ...wrong.map(([name, type]) => `${name}: not ${type}`)];
}

function connect(key) {
  mailchimp.setConfig(key.token ? { accessToken: key.token } : { apiKey: key });
  // All parts of the client share this instance.
  mailchimp.lists.apiClient.basePath = `${url}/3.0`;
}

async function run({ call, with: given = [] }) {
  const path = call.split('.');
  const method = path.pop();
  const api = path.reduce((api, name) => api[name], mailchimp);
  try {
    const value = await api[method](...given.map((argument) => argument ?? undefined));
    return { status: 200, value: value ?? null, complaints: complaints(value) };
  } catch (error) {
    if (error.status === undefined) throw error;
    return { status: error.status, error: error.response?.body ?? null, type: error.response?.type };
  }
}

async function main() {
  connect(apiKey);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer = {};
    try {
      const step = JSON.parse(line);
      if (step.key) connect(step.key);
      else answer = await run(step);
    } catch (error) {
      answer = { thrown: String(error.stack) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

main();
