"""Runs commands with activecampaign-python. There is no client of ActiveCampaign's own for version 3 of its API.

Each line of the input is a JSON array: the name of a command, and its arguments by name. A command is a method of the client
(`contacts.create_a_contact`), with its arguments in order under `args` and by name under `params`. Each line of the output is
{"ok": ...} or {"error": ...}. The client returns errors of the API as it returns results.
"""

import json
import sys

from activecampaign.client import Client

client = None

for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        if name == "start":
            client = Client(arguments["url"], arguments["key"])
            result = None
        else:
            resource, method = name.split(".")
            call = getattr(getattr(client, resource), method)
            result = call(*arguments.get("args", []), **arguments.get("params", {}))
        print(json.dumps({"ok": result}), flush=True)
    except Exception as raised:
        print(json.dumps({"error": {"raised": type(raised).__name__, "message": str(raised)}}), flush=True)
