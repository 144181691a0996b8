"""Sends the payload with Requests and with the standard library, and prints `WAY STATUS` for each request.

Usage: python3 python.py ADDRESS, with payload.json and latin.json beside it.
"""

import io
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

import requests

ADDRESS = sys.argv[1]
FORM = "application/x-www-form-urlencoded"
with open("payload.json", encoding="utf-8") as file:
    payload = json.load(file)
with open("latin.json", encoding="utf-8") as file:
    latin = json.load(file)


def pairs(value, name=""):
    """Names with brackets and their values: neither library nests by itself."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return [(name, value)]
    found = []
    for key, inner in items:
        found += pairs(inner, f"{name}[{key}]" if name else str(key))
    return found


def element(name, value):
    """XML as the documentation describes it: one element a key, `item` for each row."""
    node = ElementTree.Element(name)
    if isinstance(value, dict):
        node.extend(element(key, inner) for key, inner in value.items())
    elif isinstance(value, list):
        node.extend(element("item", inner) for inner in value)
    else:
        node.text = str(value)
    return node


def written(name, value):
    """The same by hand, with every sign that XML's readers change escaped, which ElementTree does not do for line ends."""
    if isinstance(value, dict):
        inner = "".join(written(key, entry) for key, entry in value.items())
    elif isinstance(value, list):
        inner = "".join(written("item", entry) for entry in value)
    else:
        inner = escape(str(value), {"\r": "&#13;", '"': "&quot;"})
    return f"<{name}>{inner}</{name}>"


def url(way):
    return f"{ADDRESS}receiver-of-the-way-{way}"


def with_requests(way, method="POST", **arguments):
    answer = requests.request(method, url(way), timeout=30, **arguments)
    print(way, answer.status_code)


def with_urllib(way, body=None, query="", headers=None):
    request = urllib.request.Request(url(way) + query, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    print(way, status)


flat = pairs(payload)
with_requests("requests-data", data=dict(flat))
with_requests("requests-pairs", data=flat)
lists = {}
for name, value in flat:
    # A list of values under one name: the library repeats the name.
    head, _, last = name.rpartition("[")
    is_list = head.endswith("[value]") and last != "value]"
    lists.setdefault(f"{head}[]" if is_list else name, []).append(value)
with_requests("requests-lists", data=lists)
with_requests("requests-text", data=urllib.parse.urlencode(flat))
with_requests("requests-json", json=payload)
with_requests("requests-json-text", data=json.dumps(payload, ensure_ascii=False).encode())
with_requests("requests-params", method="GET", params=flat)
with_requests("requests-params-post", params=flat)
with_requests("requests-files", files=[(name, (None, str(value))) for name, value in flat])
attachment = {"attachment": ("notes.txt", io.BytesIO(b"not read"))}
with_requests("requests-data-and-files", data=dict(flat), files=attachment)
body = json.dumps(payload).encode()
chunks = (body[at : at + 100] for at in range(0, len(body), 100))
with_requests("requests-chunked", data=chunks, headers={"Content-Type": "application/json"})
cp1252 = urllib.parse.urlencode(pairs(latin), encoding="cp1252")
with_requests("requests-latin", data=cp1252, headers={"Content-Type": f"{FORM}; charset=windows-1252"})

with_urllib("urllib-form", body=urllib.parse.urlencode(flat).encode())
with_urllib("urllib-get", query="?" + urllib.parse.urlencode(flat, quote_via=urllib.parse.quote))
with_urllib("urllib-json", body=json.dumps(payload).encode(), headers={"Content-Type": "application/json"})
utf16 = json.dumps(payload, ensure_ascii=False).encode("utf-16")
with_urllib("urllib-json-utf-16", body=utf16, headers={"Content-Type": "application/json; charset=utf-16"})
latin_form = urllib.parse.urlencode(pairs(latin), encoding="latin-1").encode()
with_urllib("urllib-latin", body=latin_form, headers={"Content-Type": f"{FORM}; charset=ISO-8859-1"})
latin_json = json.dumps(latin, ensure_ascii=False).encode("latin-1")
with_urllib("urllib-latin-json", body=latin_json, headers={"Content-Type": "application/json; charset=latin1"})
root = element("sync", payload)
for way, encoding in [("xml", "utf-8"), ("xml-ascii", "us-ascii"), ("xml-utf-16", "utf-16")]:
    text = ElementTree.tostring(root, encoding=encoding, xml_declaration=True)
    with_urllib(f"urllib-{way}", body=text, headers={"Content-Type": "application/xml"})
with_urllib("urllib-xml-escaped", body=written("sync", payload).encode(), headers={"Content-Type": "application/xml"})
text = ElementTree.tostring(element("sync", latin), encoding="iso-8859-1")
with_urllib("urllib-xml-latin", body=text, headers={"Content-Type": "text/xml"})
