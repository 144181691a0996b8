"""Runs commands with Google's own client for the Data Manager API.

Each line of the input is a JSON array: the name of a command, and its arguments by name. Each line of the output is
{"ok": ...} or {"error": ...}.
"""

import json
import sys

from google.ads import datamanager_v1 as dm
from google.ads.datamanager_v1.services.ingestion_service.transports.rest import IngestionServiceRestTransport
from google.ads.datamanager_v1.services.user_list_service.transports.rest import UserListServiceRestTransport
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import credentials, service_account
from google.protobuf import json_format

SCOPES = ["https://www.googleapis.com/auth/datamanager"]


class Fixed(Credentials):
    """A token that is never renewed, so that a refused one is seen."""

    def __init__(self, token):
        super().__init__()
        self.token = token

    def refresh(self, request):
        pass


ingestion = None
lists = None
metadata = []


def start(host, token, login=None):
    global ingestion, lists, metadata
    how = {"host": host, "url_scheme": "http", "credentials": Fixed(token)}
    ingestion = dm.IngestionServiceClient(transport=IngestionServiceRestTransport(**how))
    lists = dm.UserListServiceClient(transport=UserListServiceRestTransport(**how))
    metadata = [("login-account", login)] if login else []


def assertion(key, scopes=SCOPES):
    """Gets an access token with the key of a service account."""
    own = service_account.Credentials.from_service_account_info(key, scopes=scopes)
    own.refresh(Request())
    return {"token": own.token, "expiry": own.expiry.isoformat()}


def refresh(base, client_id, client_secret, refresh_token):
    """Gets an access token with a refresh token."""
    own = credentials.Credentials(
        token=None,
        refresh_token=refresh_token,
        token_uri=base + "/token",
        client_id=client_id,
        client_secret=client_secret,
        scopes=SCOPES,
    )
    own.refresh(Request())
    return {"token": own.token, "refresh_token": own.refresh_token, "granted": list(own.granted_scopes or [])}


def message(kind, body):
    """The request that JSON describes. Refuses unknown names, wrong types and wrong words."""
    kind = getattr(dm, kind)
    return kind.wrap(json_format.ParseDict(body, kind.pb()()))


def shown(answer):
    text = type(answer).to_json(answer, use_integers_for_enums=False, always_print_fields_with_no_presence=False)
    return json.loads(text)


def check(kind, body):
    return shown(message(kind, body))


def ingest(body):
    request = message("IngestAudienceMembersRequest", body)
    return shown(ingestion.ingest_audience_members(request=request, retry=None))


def remove(body):
    request = message("RemoveAudienceMembersRequest", body)
    return shown(ingestion.remove_audience_members(request=request, retry=None))


def remove_all(body):
    request = message("RemoveAllAudienceMembersRequest", body)
    return shown(ingestion.remove_all_audience_members(request=request, retry=None))


def status(id):
    request = dm.RetrieveRequestStatusRequest(request_id=id)
    return shown(ingestion.retrieve_request_status(request=request, retry=None))


def create(account, user_list, trial=False):
    request = dm.CreateUserListRequest(parent=parent(account), validate_only=trial)
    request.user_list = message("UserList", user_list)
    return shown(lists.create_user_list(request=request, metadata=metadata))


def read(account, id):
    request = dm.GetUserListRequest(name=f"{parent(account)}/userLists/{id}")
    return shown(lists.get_user_list(request=request, metadata=metadata))


def find(account, filter="", size=0):
    """Follows the pages as the client does."""
    request = dm.ListUserListsRequest(parent=parent(account), filter=filter, page_size=size)
    pages = list(lists.list_user_lists(request=request, metadata=metadata).pages)
    return [[shown(found) for found in page.user_lists] for page in pages]


def update(account, id, user_list, mask):
    body = dict(user_list, name=f"{parent(account)}/userLists/{id}")
    request = dm.UpdateUserListRequest(user_list=message("UserList", body), update_mask={"paths": mask})
    return shown(lists.update_user_list(request=request, metadata=metadata))


def delete(account, id):
    request = dm.DeleteUserListRequest(name=f"{parent(account)}/userLists/{id}")
    lists.delete_user_list(request=request, metadata=metadata)


def parent(account):
    return f"accountTypes/GOOGLE_ADS/accounts/{account}"


def error(raised):
    found = {
        "raised": type(raised).__name__,
        "code": raised.code,
        "message": raised.message,
        "reason": raised.reason,
        "domain": raised.domain,
        "metadata": dict(raised.metadata or {}),
        "violations": [],
    }
    # Over REST the client leaves the details as they came.
    for detail in raised.details:
        for one in detail.get("fieldViolations", []):
            found["violations"].append([one["field"], one.get("reason", "")])
        if "retryDelay" in detail:
            found["delay"] = int(detail["retryDelay"].removesuffix("s"))
    return found


COMMANDS = {name: value for name, value in globals().items() if callable(value) and value.__module__ == "__main__"}

for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        result = {"ok": COMMANDS[name](**arguments)}
    except GoogleAPICallError as raised:
        result = {"error": error(raised)}
    except RefreshError as raised:
        result = {"error": {"raised": "RefreshError", "message": str(raised.args[0]), "retryable": raised.retryable}}
    except json_format.ParseError as raised:
        result = {"error": {"raised": "ParseError", "message": str(raised)}}
    except Exception as raised:
        result = {"error": {"raised": type(raised).__name__, "message": str(raised)}}
    print(json.dumps(result), flush=True)
