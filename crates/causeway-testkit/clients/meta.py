"""Runs commands with Meta's own client.

Each line of the input is a JSON array: the name of a command, and its arguments by name. Each line of the output is
{"ok": ...} or {"error": ...}.
"""

import json
import sys
import warnings

from facebook_business.adobjects.adaccount import AdAccount
from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.adobjects.customaudiencestatus import CustomAudienceStatus
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession

# The models warn about fields of another type than their own, and about fields that do not exist.
warnings.simplefilter("error")


def start(graph, token, secret=None, version=None):
    FacebookSession.GRAPH = graph
    FacebookAdsApi.init(app_secret=secret, access_token=token, api_version=version, crash_log=False)


def account(id, fields):
    return AdAccount(id).api_get(fields=fields).export_all_data()


def debug(token):
    return FacebookAdsApi.get_default_api().call("GET", ("debug_token",), params={"input_token": token}).json()


def terms(id):
    return [terms.export_all_data() for terms in AdAccount(id).get_custom_audiences_tos()]


def create(account, params):
    created = AdAccount(account).create_custom_audience(params=params)
    assert isinstance(created, CustomAudience)
    return created.get_id()


def read(id, fields):
    audience = CustomAudience(id).api_get(fields=fields)
    for name in ("operation_status", "delivery_status"):
        assert name not in audience or isinstance(audience[name], CustomAudienceStatus)
    return audience.export_all_data()


def list_audiences(account, fields, params):
    """Follows the pages as the client does."""
    cursor = AdAccount(account).get_custom_audiences(fields=fields, params=params)
    found, pages = [], []
    while True:
        page = len(cursor)
        pages.append(page)
        found += [next(cursor).export_all_data() for _ in range(page)]
        if not cursor.load_next_page():
            break
    return {"found": found, "pages": pages, "total": cursor.total()}


def update(id, params):
    return CustomAudience(id).api_update(params=params).export_all_data()


def delete(id):
    CustomAudience(id).api_delete()


def add(id, **how):
    """With the client's own normalisation and hashing."""
    return answer(CustomAudience(id).add_users(**how))


def remove(id, **how):
    return answer(CustomAudience(id).remove_users(**how))


def answer(response):
    return {"body": response.json(), "usage": response.headers().get("x-business-use-case-usage")}


def add_payload(id, params):
    return CustomAudience(id).create_user(params=params).export_all_data()


def remove_payload(id, params):
    return CustomAudience(id).delete_users(params=params).export_all_data()


def remove_by_post(id, params):
    params = dict(params, method="delete")
    return answer(FacebookAdsApi.get_default_api().call("POST", (id, "users"), params=params))


def remove_everywhere(account, params):
    return AdAccount(account).delete_users_of_any_audience(params=params).export_all_data()


def replace(id, params):
    return CustomAudience(id).create_users_replace(params=params).export_all_data()


def sessions(id, params):
    return [session.export_all_data() for session in CustomAudience(id).get_sessions(params=params)]


def hashed(schema, users):
    """The payload that the client would send."""
    return CustomAudience.format_params(schema, users, is_raw=True)["payload"]


def error(raised):
    body = raised.body()
    details = body["error"] if isinstance(body, dict) else {}
    return {
        "code": raised.api_error_code(),
        "subcode": raised.api_error_subcode(),
        "type": raised.api_error_type(),
        "message": raised.api_error_message(),
        "is_transient": raised.api_transient_error(),
        "status": raised.http_status(),
        "title": details.get("error_user_title"),
        "text": details.get("error_user_msg"),
        "trace": details.get("fbtrace_id"),
        "usage": raised.http_headers().get("x-business-use-case-usage"),
    }


COMMANDS = {name: value for name, value in globals().items() if callable(value) and value.__module__ == "__main__"}

for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        result = {"ok": COMMANDS[name](**arguments)}
    except FacebookRequestError as raised:
        result = {"error": error(raised)}
    except Exception as raised:
        result = {"error": {"raised": type(raised).__name__, "message": str(raised)}}
    print(json.dumps(result), flush=True)
