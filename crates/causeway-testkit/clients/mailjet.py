"""Runs commands with Mailjet's own client.

Each line of the input is a JSON array: the name of a command, and its arguments by name. A command is a method of an endpoint
(`contact.create`). Each line of the output is {"ok": {"status": ..., "body": ...}} or {"error": ...}.
"""

import json
import logging
import sys

from mailjet_rest import Client

logging.disable(logging.CRITICAL)
client = None

for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        if name == "start":
            client = Client(auth=(arguments["key"], arguments["secret"]), api_url=arguments["url"], version="v3")
            result = None
        else:
            endpoint, method = name.split(".")
            response = getattr(getattr(client, endpoint), method)(**arguments)
            body = response.json() if response.content else None
            result = {"status": response.status_code, "body": body}
        print(json.dumps({"ok": result}), flush=True)
    except Exception as raised:
        print(json.dumps({"error": {"raised": type(raised).__name__, "message": str(raised)}}), flush=True)
