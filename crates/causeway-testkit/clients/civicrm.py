"""Runs calls with two clients for CiviCRM's APIv4.

Each line of the input is a JSON array: the name of a command, and its arguments by name. Each line of the output is
{"ok": ...} or {"error": ...}. civicrmapi sends the parameters in the query and X-Civi-Auth, civicrm-py a form and
Authorization.
"""

import json
import sys

from civicrm_py.core.client import SyncCiviClient
from civicrmapi import HttpApiV4

clients = {}


def start(url, key):
    clients["query"] = HttpApiV4(url, key)
    clients["form"] = SyncCiviClient(base_url=url + "/civicrm/ajax/api4", api_key=key, max_retries=0)


def call(client, entity, action, params):
    if client == "query":
        return clients["query"](entity, action, params)
    return clients["form"].request(entity, action, params).values


def text(raised):
    try:
        return str(raised)
    except AttributeError:
        # InvalidResponse of civicrmapi 0.5 cannot show itself.
        return ""


COMMANDS = {"start": start, "call": call}

for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        result = {"ok": COMMANDS[name](**arguments)}
    except Exception as raised:
        result = {"error": {"raised": type(raised).__name__, "message": text(raised)}}
    print(json.dumps(result), flush=True)
