"""Runs methods of Brevo's own client.

Each line of the input is a JSON array: the path of a method, as "contacts.get_contact_info", and its arguments by name. The
first is ["start", {"url": ..., "key": ...}]. Each line of the output is {"ok": ...} or {"error": ...}. What the client
received is validated by the client's own models.
"""

import json
import sys

import pydantic
from brevo import Brevo
from brevo.contacts.types import (
    AddContactToListRequestBodyEmails,
    RemoveContactFromListRequestBodyEmails,
)
from brevo.core.api_error import ApiError
from brevo.event.types import CreateBatchEventsRequestEventsItem, CreateEventRequestIdentifiers
from brevo.types import BatchEventsResponse

client = None

# Arguments that the client takes as models.
MODELS = {
    "contacts.add_contact_to_list": ("request", AddContactToListRequestBodyEmails),
    "contacts.remove_contact_from_list": ("request", RemoveContactFromListRequestBodyEmails),
    "event.create_event": ("identifiers", CreateEventRequestIdentifiers),
}


def start(url, key):
    global client
    client = Brevo(api_key=key, base_url=f"{url}/v3", timeout=20)


def call(name, arguments):
    api, method = name.split(".")
    if name in MODELS:
        argument, model = MODELS[name]
        arguments[argument] = model(**arguments[argument])
    if name == "event.create_batch_events":
        arguments["events"] = [CreateBatchEventsRequestEventsItem(**event) for event in arguments["events"]]
    raw = getattr(getattr(client, api).with_raw_response, method)
    answer = raw(**arguments, request_options={"max_retries": 0})
    body = answer._response.content
    value = json.loads(body) if body else None
    # A partial success has a model of its own, which the method does not return.
    model = BatchEventsResponse if answer._response.status_code == 207 else type(answer.data)
    if issubclass(model, pydantic.BaseModel):
        model.model_validate(value)
    return {"status": answer._response.status_code, "value": value, "headers": dict(answer._response.headers)}


def error(raised):
    return {"status": raised.status_code, "body": dict_of(raised.body), "headers": dict(raised.headers or {})}


def dict_of(body):
    return body.model_dump(exclude_none=True) if isinstance(body, pydantic.BaseModel) else body


for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        result = {"ok": start(**arguments) if name == "start" else call(name, arguments)}
    except ApiError as raised:
        result = {"error": error(raised)}
    except Exception as raised:
        result = {"error": {"raised": type(raised).__name__, "message": str(raised)}}
    print(json.dumps(result), flush=True)
