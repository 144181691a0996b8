// Runs HubSpot's own client against the address given as the first argument. Each line of standard input is one call:
//   {"call": "crm.contacts.basicApi.getById", "with": ["70001"]}   a method of the client
//   {"request": {"method": "GET", "path": "/…"}}                   a request that the client has no method for
//   {"token": "…"}                                                 another access token from now on
// Each line of standard output is an answer: what the client returned, the body as it was received, and how the body
// departs from the client's own models.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const { Client } = require('@hubspot/api-client');

const VERSION = '2026-09';
// The client's methods know the old paths only.
const PATHS = [
  ['/crm/v3/objects/', `/crm/objects/${VERSION}/`],
  ['/crm/v3/properties/', `/crm/properties/${VERSION}/`],
  ['/crm/v3/lists', `/crm/lists/${VERSION}`],
  ['/communication-preferences/v3/', `/communication-preferences/${VERSION}/`],
  ['/events/v3/send', `/events/custom/${VERSION}/send`],
  ['/oauth/v1/token', `/oauth/${VERSION}/token`],
];

// What answers of this version have and the client's models, which are those of v3, do not.
const NEWER = {
  Property: ['dataSensitivity'],
  TokenResponseIF: ['hub_id', 'scopes', 'token_use', 'user_id'],
};

let received;

const middleware = {
  async pre(context) {
    received = undefined;
    const url = PATHS.reduce((url, [old, dated]) => url.replace(old, dated), context.getUrl());
    context.setUrl(url);
    return context;
  },
  async post(context) {
    const text = await context.body.text();
    context.body = { text: async () => text, binary: async () => Buffer.from(text) };
    received = { status: context.httpStatusCode, headers: context.headers, text };
    return context;
  },
};

// The fields that a model's declaration does not mark as optional.
const required = new Map();
function requiredOf(model) {
  if (!required.has(model)) {
    const file = Object.values(require.cache).find((entry) => entry.exports?.[model.name] === model).filename;
    const declaration = fs.readFileSync(file.replace(/\.js$/, '.d.ts'), 'utf8');
    const names = [...declaration.matchAll(/^ {4}'(\w+)': /gm)].map((match) => match[1]);
    required.set(model, new Set(names));
  }
  return required.get(model);
}

const isPlain = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

// Compares a model with the JSON from which the client made it.
function complaints(model, raw, path) {
  if (model instanceof Date) return Number.isNaN(model.getTime()) ? [`${path}: not a date`] : [];
  if (Array.isArray(model)) {
    return model.flatMap((entry, index) => complaints(entry, raw?.[index], `${path}[${index}]`));
  }
  if (!isPlain(model) || !isPlain(raw)) return [];
  const attributes = model.constructor.getAttributeTypeMap?.();
  if (attributes === undefined) {
    return Object.keys(model).flatMap((key) => complaints(model[key], raw[key], `${path}.${key}`));
  }
  const newer = NEWER[model.constructor.name] ?? [];
  const known = new Set([...attributes.map((attribute) => attribute.baseName), ...newer]);
  const found = Object.keys(raw).filter((key) => !known.has(key)).map((key) => `${path}.${key}: unknown`);
  for (const { name, baseName, type } of attributes) {
    const value = raw[baseName];
    if (value === undefined) {
      if (requiredOf(model.constructor).has(name)) found.push(`${path}.${baseName}: missing`);
    } else if (value !== null && !fits(value, type)) {
      found.push(`${path}.${baseName}: not ${type}`);
    } else {
      found.push(...complaints(model[name], value, `${path}.${baseName}`));
    }
  }
  return found;
}

function fits(value, type) {
  if (type.startsWith('Array<')) return Array.isArray(value) && value.every((entry) => fits(entry, type.slice(6, -1)));
  if (type.startsWith('{ [key: string]: ')) {
    // A property without a value is null, although the models say text.
    const of = type.slice(17, -3);
    return isPlain(value) && Object.values(value).every((entry) => entry === null || fits(entry, of));
  }
  if (type === 'Date') return typeof value === 'string';
  if (['string', 'number', 'boolean'].includes(type)) return typeof value === type;
  return type === 'any' || isPlain(value) || typeof value === 'string';
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function client(accessToken) {
  const basePath = process.argv[2];
  return new Client({ accessToken, basePath, middleware: [middleware], numberOfApiCallRetries: 0 });
}

async function run(hubspot, { call, with: given = [], request }) {
  if (request) {
    const response = await hubspot.apiRequest(request);
    const text = await response.text();
    return { status: response.status, headers: Object.fromEntries(response.headers), raw: parsed(text) };
  }
  const path = call.split('.');
  const method = path.pop();
  const api = path.reduce((api, name) => api[name], hubspot);
  try {
    const model = await api[method](...given.map((value) => value ?? undefined));
    const raw = received && parsed(received.text);
    return {
      status: received?.status, headers: received?.headers, raw, model: model?.constructor.name, value: model,
      complaints: complaints(model, raw, model?.constructor.name),
    };
  } catch (error) {
    if (error.code === undefined) throw error;
    return { status: error.code, headers: error.headers, raw: parsed(received.text), error: error.body };
  }
}

async function main() {
  let hubspot = client(process.argv[3]);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    // The client's models take dates, not text.
    const step = JSON.parse(line, (key, value) => (key === 'occurredAt' ? new Date(value) : value));
    if (step.token) hubspot = client(step.token);
    let answer = {};
    try {
      if (!step.token) answer = await run(hubspot, step);
    } catch (error) {
      answer = { thrown: String(error.stack) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

main();
