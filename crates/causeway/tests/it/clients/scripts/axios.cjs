// Sends the payload with axios as it is and as it was before version 1, and prints `WAY STATUS` for each request.
// Usage: node axios.cjs ADDRESS, with payload.json beside it and both packages in NODE_PATH.

const { readFileSync } = require("node:fs");

const address = process.argv[2];
const payload = JSON.parse(readFileSync("payload.json", "utf8"));

async function main() {
    for (const [age, name] of [["new", "axios"], ["old", "axios-old"]]) {
        const axios = require(name);
        const url = (way) => `${address}receiver-of-the-way-${age}-${way}`;
        const say = async (way, answer) => console.log(`${age}-${way}`, (await answer).status);
        // The old one writes each row as a JSON text.
        await say("get", axios.get(url("get"), { params: payload }));
        await say("json", axios.post(url("json"), payload));
        const headers = { "Content-Type": "application/x-www-form-urlencoded" };
        // The old one sends JSON and calls it a form.
        await say("form", axios.post(url("form"), payload, { headers }));
        if (age === "new") await say("multipart", axios.postForm(url("multipart"), payload));
    }
}

main();
