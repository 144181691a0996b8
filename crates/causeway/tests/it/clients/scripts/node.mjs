// Sends the payload with Node's own fetch and http, and prints `WAY STATUS` for each request.
// Usage: node node.mjs ADDRESS, with payload.json and latin.json beside it.

import { readFileSync } from "node:fs";
import { request } from "node:http";

const address = process.argv[2];
const payload = JSON.parse(readFileSync("payload.json", "utf8"));
const latin = JSON.parse(readFileSync("latin.json", "utf8"));

/** Names with brackets and their values: neither form class nests by itself. */
function pairs(value, name = "") {
    if (value === null || typeof value !== "object") return [[name, String(value)]];
    const inner = ([key, entry]) => pairs(entry, name === "" ? key : `${name}[${key}]`);
    return Object.entries(value).flatMap(inner);
}

const url = (way) => new URL(`${address}receiver-of-the-way-${way}`);

async function fetched(way, options, target = url(way)) {
    const answer = await fetch(target, { method: "POST", ...options });
    console.log(way, answer.status);
}

/** A request whose bytes are given. */
function posted(way, headers, bytes) {
    return new Promise((done, failed) => {
        const call = request(url(way), { method: "POST", headers }, (answer) => {
            console.log(way, answer.statusCode);
            answer.resume().on("end", done);
        });
        call.on("error", failed).end(bytes);
    });
}

const flat = pairs(payload);
await fetched("fetch-search-params", { body: new URLSearchParams(flat) });
const form = new FormData();
for (const [name, value] of flat) form.append(name, value);
await fetched("fetch-form-data", { body: form });
form.append("attachment", new Blob(["not read"]), 'a "quoted" name.txt');
await fetched("fetch-form-data-file", { body: form });
const type = { "Content-Type": "application/json" };
await fetched("fetch-json", { body: JSON.stringify(payload), headers: type });
await fetched("fetch-json-as-text", { body: JSON.stringify(payload) });
await fetched("fetch-json-blob", { body: new Blob([JSON.stringify(payload)], { type: "application/json" }) });
const target = url("fetch-get");
target.search = new URLSearchParams(flat);
await fetched("fetch-get", { method: "GET" }, target);
const stream = new Blob([new URLSearchParams(flat).toString()]).stream();
const headers = { "Content-Type": "application/x-www-form-urlencoded" };
await fetched("fetch-stream", { body: stream, headers, duplex: "half" });
const bytes = Buffer.from(JSON.stringify(latin), "latin1");
await posted("http-latin-json", { "Content-Type": "application/json; charset=iso-8859-1" }, bytes);
const escape = (byte) => `%${byte.toString(16).padStart(2, "0")}`;
const escaped = (text) => [...Buffer.from(text, "latin1")].map(escape).join("");
const latinForm = pairs(latin).map(([name, value]) => `${name}=${escaped(value)}`).join("&");
await posted("http-latin-form", { "Content-Type": "application/x-www-form-urlencoded;charset=iso-8859-1" }, latinForm);
