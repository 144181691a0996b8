"""Runs commands with the client listmonk, whose name this file must not have.

Each line of the input is a JSON array: the name of a command, and its arguments by name. Each line of the output is
{"ok": ...} or {"error": ...}.
"""

import json
import sys

import listmonk
from listmonk import models


def start(url, user, token):
    listmonk.set_url_base(url)
    return listmonk.login(user, token)


def plain(value):
    if isinstance(value, list):
        return [plain(one) for one in value]
    if hasattr(value, "model_dump"):
        shown = value.model_dump(mode="json")
        # The model shows only the numbers of lists.
        shown["subscriptions"] = {str(one["id"]): one.get("subscription_status") for one in getattr(value, "lists", [])}
        return shown
    return value


def by_email(email):
    return listmonk.subscriber_by_email(email)


def create(email, **how):
    how["list_ids"] = set(how.get("list_ids", []))
    return listmonk.create_subscriber(email, **how)


def update(email, name=None, status="enabled"):
    subscriber = listmonk.subscriber_by_email(email)
    subscriber.name = name or subscriber.name
    return listmonk.update_subscriber(subscriber, status=models.SubscriberStatuses(status))


def delete(email):
    return listmonk.delete_subscriber(email)


def add(ids, list_ids, status="confirmed"):
    return listmonk.add_subscribers_to_lists(ids, list_ids, status=status)


def confirm(subscriber, list):
    return listmonk.confirm_optin(subscriber, list)


def lists():
    return listmonk.lists()


def find(query=None, list_id=None):
    return listmonk.subscribers(query, list_id)


COMMANDS = {name: value for name, value in globals().items() if callable(value) and getattr(value, "__module__", "") == "__main__"}

for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        result = {"ok": plain(COMMANDS[name](**arguments))}
    except Exception as raised:
        result = {"error": {"raised": type(raised).__name__, "message": str(raised)}}
    print(json.dumps(result), flush=True)
