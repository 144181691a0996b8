"""Reads requests of a hub and sends them on in other orders, shapes and charsets; prints each status.

Usage: python3 relay.py ADDRESS, with requests.json beside it: a list of {way, query, body}. The charset is the one that the
field `Charset` of the message names.
"""

import base64
import json
import random
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

ADDRESS = sys.argv[1]
with open("requests.json", encoding="utf-8") as file:
    requests = json.load(file)
mixing = random.Random(1)


def post(way, order, body, content_type, query=""):
    headers = {"Content-Type": content_type} if content_type else {}
    request = urllib.request.Request(f"{ADDRESS}{way}-{order}{query}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            print(answer.status)
    except urllib.error.HTTPError as error:
        print(way, order, content_type, error.code, error.read())


def ordered(items, order):
    items = list(items)
    if order == "reverse":
        items.reverse()
    elif order == "mixed":
        mixing.shuffle(items)
    return items


def members(value, order):
    """Members of maps in another order. The order of a list is what it means."""
    if isinstance(value, dict):
        return {key: members(inner, order) for key, inner in ordered(value.items(), order)}
    if isinstance(value, list):
        return [members(inner, order) for inner in value]
    return value


def elements(node, order):
    """The same for elements: those of a list are all called `item`."""
    children = [elements(child, order) for child in node]
    is_list = all(child.tag == "item" for child in children)
    copy = ElementTree.Element(node.tag)
    # Blanks between elements mean nothing, and are not text.
    copy.text = node.text if not children else None
    copy.extend(children if is_list else ordered(children, order))
    return copy


def form_charset(charset):
    """A form is never UTF-16: browsers write UTF-8 then."""
    return "utf-8" if charset == "utf-16" else charset


def send_form(pairs, charset, order):
    charset = form_charset(charset)
    pairs = ordered(pairs, order)
    body = urllib.parse.urlencode(pairs, encoding=charset).encode("ascii")
    post("form", order, body, f"application/x-www-form-urlencoded; charset={charset}")
    parts = []
    for name, value in pairs:
        head = f'Content-Disposition: form-data; name="{name}"\r\nContent-Type: text/plain; charset={charset}\r\n\r\n'
        parts.append(f"--cut-here\r\n{head}{value}\r\n".encode(charset))
    post("multipart", order, b"".join(parts) + b"--cut-here--\r\n", "multipart/form-data; boundary=cut-here")


def send_query(pairs, charset, order):
    charset = form_charset(charset)
    pairs = [("_charset_", charset), *ordered(pairs, order)]
    query = urllib.parse.urlencode(pairs, encoding=charset)
    post("query", order, None, None, f"?{query}")


def send_json(message, charset, order):
    message = members(message, order)
    body = json.dumps(message, ensure_ascii=False).encode(charset)
    post("json", order, body, f"application/json; charset={charset}")
    post("json-escaped", order, json.dumps(message).encode("ascii"), "application/json")


def send_xml(root, charset, order):
    body = ElementTree.tostring(elements(root, order), encoding=charset, xml_declaration=True)
    post("xml", order, body, "application/xml")


for request in requests:
    body = base64.b64decode(request["body"])
    for order in ["same", "reverse", "mixed"]:
        if request["way"] in ("form", "query"):
            text = body.decode("ascii") if request["way"] == "form" else request["query"]
            pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=True)
            rows = dict(pairs)
            charset = next(rows[name.replace("[name]", "[value]")] for name, value in pairs if value == "Charset")
            (send_form if request["way"] == "form" else send_query)(pairs, charset, order)
        elif request["way"] == "json":
            message = json.loads(body)
            charset = next(row["value"] for row in message["fields"] if row["name"] == "Charset")
            send_json(message, charset, order)
        else:
            root = ElementTree.fromstring(body)
            rows = root.find("fields")
            charset = next(row.findtext("value") for row in rows if row.findtext("name") == "Charset")
            send_xml(root, charset, order)
