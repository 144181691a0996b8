"""Runs commands with the client for Action Network of Parsons.

Each line of the input is a JSON array: the name of a method, and its arguments by name. Each line of the output is
{"ok": ...} or {"error": ...}. The command "start" takes the address and the key.
"""

import json
import logging
import sys
import warnings

# Parsons warns at each import that most of its dependencies are not installed.
warnings.simplefilter("ignore")

from parsons.action_network import action_network

logging.disable(logging.CRITICAL)
client = None


def start(url, key):
    global client
    action_network.API_URL = url + "/api/v2"
    client = action_network.ActionNetwork(key)


def run(name, arguments):
    if name == "start":
        return start(**arguments)
    result = getattr(client, name)(**arguments)
    # Lists come as tables.
    return result.to_dicts() if hasattr(result, "to_dicts") else result


for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        result = {"ok": run(name, arguments)}
    except Exception as raised:
        result = {"error": {"raised": type(raised).__name__, "message": str(raised)}}
    print(json.dumps(result), flush=True)
