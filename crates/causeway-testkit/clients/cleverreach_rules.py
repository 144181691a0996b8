"""CleverReach's API v3 as its documents describe it, as a client and as a judge.

No client for CleverReach is published on PyPI or npm. This script was written from the documents alone, and shares no
code with the account in memory that it judges. Only Python's own modules are used.

Each line of the input is a JSON array: the name of a command, and its arguments by name. Each line of the output is
{"ok": ...} or {"error": {"raised": ..., "message": ..., "status": ...}}.
"""

import json
import random
import sys
import urllib.error
import urllib.parse
import urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# The members of a receiver and their types. Times are Unix seconds, and 0 is never.
RECEIVER = {
    "id": str,
    "email": str,
    "group_id": str,
    "registered": int,
    "activated": int,
    "deactivated": int,
    "active": bool,
    "source": str,
    "attributes": dict,
    "global_attributes": dict,
    "tags": list,
}


# The calls that the judge makes.
KINDS = ["upsert", "upsertplus", "insert", "update", "activate", "deactivate", "tags", "delete", "bad"]


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def send(method, url, headers, body=None):
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with opener.open(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Client:
    """Gets a token for the app, and makes calls with it."""

    def __init__(self, url, id, secret):
        self.url = url
        form = urllib.parse.urlencode(
            {"grant_type": "client_credentials", "client_id": id, "client_secret": secret}
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, content = send("POST", url + "/oauth/token.php", headers, form.encode())
        answer = json.loads(content)
        if status != 200:
            raise Refused(status, answer["error"])
        assert answer["token_type"].lower() == "bearer", answer
        assert isinstance(answer["expires_in"], int) and answer["expires_in"] > 0, answer
        self.token = answer["access_token"]

    def call(self, method, path, body=None, **query):
        url = self.url + "/v3/" + "/".join(urllib.parse.quote(str(part), safe="@") for part in path)
        if query:
            url += "?" + urllib.parse.urlencode(query)
        headers = {"Authorization": "Bearer " + self.token, "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        status, answer = send(method, url, headers, content)
        answer = json.loads(answer)
        if status != 200:
            error = answer["error"]
            if isinstance(error, dict):
                assert error["code"] == status, error
                error = error["message"]
            raise Refused(status, error)
        return answer


def check_receiver(shown, email, group):
    """A receiver has all members, in their types, and is active if and only if its times say so."""
    for name, kind in RECEIVER.items():
        assert type(shown.get(name)) is kind, (name, shown)
    assert shown["email"] == email.lower(), shown
    assert shown["group_id"] == str(group), shown
    assert shown["active"] == (shown["activated"] > 0 and shown["deactivated"] == 0), shown


class Model:
    """What a group must hold after the calls that were made, by the rules of the documents."""

    def __init__(self, client, group, names):
        self.client = client
        self.group = group
        self.names = names
        self.rows = {}

    def apply(self, email, row):
        """The rules of a write. Returns whether the receiver was there."""
        was_there = email in self.rows
        times = ("registered", "activated", "deactivated")
        if not was_there:
            self.rows[email] = {"activated": 0, "deactivated": 0, "global_attributes": {}, "tags": set()}
            if not any(name in row for name in times):
                # Such a receiver is active at once.
                self.rows[email]["activated"] = None
        known = self.rows[email]
        for name in times:
            if name in row:
                known[name] = row[name]
        if "source" in row:
            known["source"] = row["source"]
        for name, value in row.get("global_attributes", {}).items():
            # An attribute that nobody created is passed over, and an empty text erases.
            if name in self.names:
                known["global_attributes"][name] = value
        for tag in row.get("tags", []):
            if tag.startswith("-"):
                known["tags"].discard(tag[1:])
            else:
                known["tags"].add(tag)
        return was_there

    def compare(self, email, shown):
        check_receiver(shown, email, self.group)
        known = self.rows[email]
        for name, value in known.items():
            if name == "tags":
                assert set(shown["tags"]) == value, (value, shown)
            elif name == "global_attributes":
                assert set(shown[name]) == set(self.names), shown
                for attribute in self.names:
                    assert shown[name][attribute] == value.get(attribute, ""), (value, shown)
            elif value is None:
                assert shown[name] > 0, (name, shown)
            else:
                assert shown[name] == value, (name, value, shown)
        # What CleverReach decided itself stays as it is.
        for name, value in known.items():
            if value is None:
                known[name] = shown[name]

    def read(self, email):
        # The group may be part of the path, or a parameter. Numbers stand for addresses.
        by_path = self.client.call("GET", ["groups", self.group, "receivers", email])
        by_query = self.client.call("GET", ["receivers", email.upper()], group_id=self.group)
        assert by_path == by_query == self.client.call("GET", ["receivers", by_path["id"]], group_id=self.group)
        self.compare(email, by_path)

    def absent(self, email):
        for path in (["groups", self.group, "receivers", email], ["receivers", email]):
            try:
                self.client.call("GET", path)
            except Refused as refused:
                assert refused.status == 404 and "receiver" in str(refused), refused
            else:
                raise AssertionError("is there: " + email)


def some_row(dice, email, names):
    row = {"email": dice.choice([email, email.upper()])}
    for name in ("registered", "activated", "deactivated"):
        if dice.random() < 0.3:
            row[name] = dice.choice([0, 1_700_000_000, 1_763_539_200]) if name != "registered" else 1_700_000_000
    if dice.random() < 0.5:
        row["global_attributes"] = {dice.choice([*names, "unheard_of"]): dice.choice(["", "Ada", "É, \"x\""])}
    if dice.random() < 0.5:
        row["tags"] = [dice.choice(["proca", "-proca", "rivers"])]
    if dice.random() < 0.3:
        row["source"] = "save-the-bees"
    # Names beside the two objects are passed over.
    row["firstname"] = "Nobody"
    return row


def judge(client, group, seed, steps):
    """Makes random calls, and compares each answer with what the documents say. Returns how often each was made."""
    dice = random.Random(seed)
    names = [row["name"] for row in client.call("GET", ["attributes"])]
    model = Model(client, group, names)
    people = [f"person{number}@example.org" for number in range(6)] + ["plus+tag@example.org"]
    made = {}
    for _ in range(steps):
        email = dice.choice(people)
        there = email in model.rows
        kind = dice.choice(KINDS)
        made[kind] = made.get(kind, 0) + 1
        path = ["groups", group, "receivers"]
        if kind in ("upsert", "upsertplus", "insert", "update"):
            batch = dice.sample(people, dice.randint(1, 3))
            rows = [some_row(dice, one, names) for one in batch]
            method = "PUT" if kind == "update" else "POST"
            answer = client.call(method, [*path, kind], rows)
            assert isinstance(answer, list) and len(answer) == len(rows), answer
            for one, row, status in zip(batch, rows, answer):
                was_there = one in model.rows
                if (kind == "insert" and was_there) or (kind == "update" and not was_there):
                    # A row that is refused is a text, and the others are written all the same.
                    assert isinstance(status, str), status
                    continue
                model.apply(one, row)
                if kind == "upsertplus":
                    model.compare(one, status)
                else:
                    assert set(status) == {"id", "status"} and "success" in status["status"], status
                    assert ("insert" in status["status"]) == (not was_there), status
                model.read(one)
        elif kind == "bad":
            answer = client.call("POST", [*path, "upsert"], [{"email": "nobody"}, {"email": email}])
            assert isinstance(answer[0], str) and "invalid address" in answer[0], answer
            model.apply(email, {})
            model.read(email)
        elif not there:
            try:
                if kind == "delete":
                    client.call("DELETE", [*path, email])
                elif kind == "tags":
                    client.call("POST", ["receivers", email, "tags"], {"tags": ["late"], "group_id": group})
                else:
                    client.call("PUT", [*path, email, kind])
            except Refused as refused:
                assert refused.status == 404, refused
            else:
                raise AssertionError(kind + " of nobody")
            model.absent(email)
        elif kind == "delete":
            assert client.call("DELETE", [*path, email]) is True
            del model.rows[email]
            # What all groups share about an address may stay.
            model.absent(email)
            client.call("POST", [*path, "insert"], [{"email": email, "activated": 0}])
            shared = client.call("GET", [*path, email])["global_attributes"]
            model.apply(email, {"activated": 0, "global_attributes": shared})
            model.read(email)
        elif kind == "tags":
            answer = client.call("POST", ["receivers", email, "tags"], {"tags": ["late"], "group_id": group})
            model.rows[email]["tags"].add("late")
            assert set(answer) == model.rows[email]["tags"], answer
            model.read(email)
        else:
            assert client.call("PUT", [*path, email, kind]) is True
            if kind == "activate":
                model.rows[email].update({"deactivated": 0, "activated": None})
            else:
                model.rows[email]["deactivated"] = None
            model.read(email)
    listed = client.call("GET", ["groups", group, "receivers"], pagesize=5000, page=0)
    assert {row["email"] for row in listed} == set(model.rows), listed
    for row in listed:
        model.compare(row["email"], row)
    return made


def run(client, name, arguments):
    group = arguments.get("group")
    if name == "receiver":
        found = client.call("GET", ["groups", group, "receivers", arguments["who"]])
        check_receiver(found, arguments["who"], group)
        return found
    if name == "upsert":
        return client.call("POST", ["groups", group, "receivers", "upsertplus"], arguments["receivers"])
    if name == "set_active":
        action = "activate" if arguments["active"] else "deactivate"
        return client.call("PUT", ["groups", group, "receivers", arguments["who"], action])
    if name == "add_attribute":
        query = {} if group is None else {"group_id": group}
        body = {"name": arguments["name"], "type": arguments["type"]}
        return client.call("POST", ["attributes"], body, **query)
    if name == "judge":
        return judge(client, group, arguments["seed"], arguments["steps"])
    return client.call(arguments["method"], arguments["path"], arguments.get("body"), **arguments.get("query", {}))


client = None
for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        if name == "start":
            client = Client(**arguments)
            result = None
        else:
            result = run(client, name, arguments)
        print(json.dumps({"ok": result}), flush=True)
    except Exception as raised:
        error = {
            "raised": type(raised).__name__,
            "message": str(raised),
            "status": getattr(raised, "status", None),
        }
        print(json.dumps({"error": error}), flush=True)
