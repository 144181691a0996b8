"""Calls VBOUT's API by what its published OpenAPI says, and by nothing else.

VBOUT publishes no client for npm or PyPI. TABLE has the contact operations of the OpenAPI document that
developers.vbout.com publishes: method, required parameters, other parameters. All of them are in the query, as in that
document, and `fields` is a map of numbers. Each line of the input is a JSON array: the name of an operation, and its
parameters. Each line of the output is {"ok": {"status": ..., "headers": ..., "body": ...}} or {"error": ...}.
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

TABLE = {
    "GetContacts": ("GET", ["listid"], []),
    "GetContactByEmail": ("GET", ["email"], ["listid"]),
    "GetContact": ("GET", ["id"], []),
    "AddContact": ("POST", ["status", "listid"], ["email", "ipaddress", "fields"]),
    "EditContact": ("POST", ["id"], ["email", "ipaddress", "status", "fields"]),
    "SyncContact": ("POST", ["email"], ["listid", "ipaddress", "status", "fields"]),
    "DeleteContact": ("DELETE", ["id", "listid"], []),
    "MoveContact": ("POST", ["id", "listid", "sourceid"], []),
    "GetContactTimeline": ("GET", ["id"], ["include"]),
    "GetContactTimelineByEmailAddress": ("GET", ["Email"], ["Include"]),
    "GetLists": ("GET", [], []),
    "GetList": ("GET", ["id"], []),
    "AddActivity": ("POST", ["id", "description", "datetime"], []),
    "AddTag": ("POST", ["email", "tagname"], ["id"]),
    "RemoveTag": ("DELETE", ["email", "tagname"], ["id"]),
}

base, key = None, None


def call(operation, parameters):
    method, required, others = TABLE[operation]
    for name in required:
        if name not in parameters:
            raise TypeError(f"{operation} requires {name}")
    pairs = [("key", key)]
    for name, value in parameters.items():
        if name not in required + others:
            raise TypeError(f"{operation} has no parameter {name}")
        if isinstance(value, dict):
            pairs += [(f"{name}[{inner}]", text) for inner, text in value.items()]
        else:
            pairs.append((name, value))
    url = f"{base}/1/EmailMarketing/{operation}.json?{urllib.parse.urlencode(pairs)}"
    request = urllib.request.Request(url, method=method, headers={"Accept": "application/json"})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as raised:
        response = raised
    headers = {name.lower(): value for name, value in response.headers.items()}
    return {"status": response.status, "headers": headers, "body": json.loads(response.read())}


for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        if name == "start":
            base, key = arguments["url"], arguments["key"]
            result = None
        else:
            result = call(name, arguments)
        print(json.dumps({"ok": result}), flush=True)
    except Exception as raised:
        print(json.dumps({"error": {"raised": type(raised).__name__, "message": str(raised)}}), flush=True)
