"""Runs commands against Engaging Networks' REST services.

No client is published on PyPI or npm, so this one is written from the vendor's documents alone, with Python's own library. It
shares nothing with the connector.

Each line of the input is a JSON array: the name of a command, and its arguments by name. Each line of the output is
{"ok": {"status": ..., "body": ...}} or {"error": ...}. A body that is not JSON is returned as text.
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request


class Service:
    """One account. It logs in by itself, like the examples of the knowledge base do."""

    def __init__(self, url, token):
        self.url = url.rstrip("/") + "/ens/service"
        self.token = token
        self.session = None

    def send(self, method, path, query=None, body=None, raw=None):
        url = self.url + path
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = raw.encode() if raw is not None else None
        if body is not None:
            data = json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        request.add_header("Content-Type", "application/json; charset=UTF-8")
        if self.session:
            request.add_header("ens-auth-token", self.session)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read()

    def call(self, method, path, query=None, body=None, raw=None):
        status, content = self.send(method, path, query, body, raw)
        try:
            return {"status": status, "body": json.loads(content) if content else None}
        except ValueError:
            return {"status": status, "body": content.decode(errors="replace")}

    def authenticate(self, form="raw"):
        if form == "raw":
            answer = self.call("POST", "/authenticate", raw=self.token)
        else:
            answer = self.call("POST", "/authenticate", body={"ens-auth-token": self.token})
        if answer["status"] == 200:
            self.session = answer["body"]["ens-auth-token"]
        return answer

    def validate(self):
        return self.call("GET", "/authenticate/" + self.session)

    def retire(self):
        return self.call("DELETE", "/authenticate/" + self.session)

    def fields(self):
        return self.call("GET", "/supporter/fields")

    def questions(self):
        return self.call("GET", "/supporter/questions")

    def find(self, email):
        return self.call("GET", "/supporter", {"email": email, "includeQuestions": "true"})

    def read(self, id):
        return self.call("GET", f"/supporter/{id}", {"includeQuestions": "true"})

    def write(self, supporter):
        return self.call("POST", "/supporter", body=supporter)

    def update(self, id, supporter):
        return self.call("PUT", f"/supporter/{id}", body=supporter)

    def suppress(self, ids, value=True):
        body = {"field": "suppressed", "value": value, "campaigners": ids}
        return self.call("PUT", "/supporter/bulk", body=body)

    def delete(self, id):
        return self.call("DELETE", f"/supporter/{id}")

    def transactions(self, id):
        return self.call("GET", f"/supporter/{id}/transactions")

    def pages(self, type, status="live"):
        return self.call("GET", "/page", {"type": type, "status": status})

    def page(self, id):
        return self.call("GET", f"/page/{id}")

    def process(self, id, request):
        return self.call("POST", f"/page/{id}/process", body=request)


service = None

for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        if name == "start":
            service = Service(arguments["url"], arguments["token"])
            result = None
        else:
            result = getattr(service, name)(**arguments)
        print(json.dumps({"ok": result}), flush=True)
    except Exception as raised:
        print(json.dumps({"error": {"raised": type(raised).__name__, "message": str(raised)}}), flush=True)
