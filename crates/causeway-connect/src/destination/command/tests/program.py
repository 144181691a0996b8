"""A program that misbehaves as its arguments ask: MODE and the numbers of the actions that it does so for."""
import json
import os
import subprocess
import sys

mode, numbers = sys.argv[1], sys.argv[2:]


def say(answer):
    print(json.dumps(answer), flush=True)


def note(name, text):
    with open(name, "a") as file:
        file.write(text + "\n")


note("starts", str(os.getpid()))
if mode == "broken":
    sys.exit("cannot read the list of ada@example.org")
held = []
for line in sys.stdin:
    message = json.loads(line)
    if message.get("check"):
        say({"error": "no list 7, ask ada@example.org"} if mode == "refuse" else {"ok": True})
        continue
    key, number = message["key"], message["record"]["action"]["id"]
    note("seen", f"{number} {message['attempt']}")
    chosen = number in numbers
    if mode == "env":
        note("env", json.dumps({"env": dict(os.environ), "folder": os.getcwd(), "message": message}))
    if mode == "crash" and chosen:
        sys.exit(3)
    if mode == "hang" and chosen:
        continue
    if mode == "family" and chosen:
        child = subprocess.Popen(["sleep", "1000"])
        note("family", str(child.pid))
        continue
    if mode == "leave" and chosen:
        child = subprocess.Popen(["sleep", "1000"])
        note("family", str(child.pid))
        say({"key": key, "outcome": "delivered"})
        sys.exit(0)
    if mode == "deaf" and chosen:
        os.close(1)
        continue
    if mode == "reverse":
        held.append(key)
        if len(held) == int(numbers[0]):
            for late in reversed(held):
                say({"key": late, "outcome": "delivered", "id": late})
            held = []
        continue
    if mode == "noise":
        print("starting …\n[]\n" + "x" * 70_000, flush=True)
        say({"key": "cw_unknown", "outcome": "reject", "reason": "x"})
        say({"ok": True})
        say({"key": key, "outcome": "delivered", "id": number})
        say({"key": key, "outcome": "halt", "reason": "twice"})
        continue
    if mode == "reject":
        say({"key": key, "outcome": "reject", "reason": "person is no member"})
        continue
    say({"key": key, "outcome": "delivered"})
    if mode == "once":
        sys.exit(0)
