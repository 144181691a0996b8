"""Runs commands with mautic-cli, whose name this file must not have. Mautic's own client is for PHP.

Each line of the input is a JSON array: the name of a command, and its arguments by name. `run` runs a line of the program
(`args`), and `call` a method of its client for what the program has no command for (`method`, `path`, `json`). Each line of
the output is {"ok": ...} or {"error": ...}.
"""

import json
import sys

from click.testing import CliRunner
from mautic_cli.auth import resolve_credentials
from mautic_cli.cli import cli
from mautic_cli.client import MauticApiError, MauticClient

environment = {}


def start(**names):
    environment.clear()
    environment.update({"MAUTIC_" + name.upper(): value for name, value in names.items()})


def run(args):
    runner = CliRunner()
    result = runner.invoke(cli, args, env=environment)
    if result.exit_code != 0:
        failed = result.stderr.strip() or str(result.exception)
        try:
            raise Failed(json.loads(failed)["error"])
        except ValueError:
            raise Failed({"message": failed}) from None
    return json.loads(result.stdout)


def call(method, path, **arguments):
    with CliRunner().isolation(env=environment):
        client = MauticClient(resolve_credentials())
        return getattr(client, method)(path, **arguments)


class Failed(Exception):
    pass


COMMANDS = {"start": start, "run": run, "call": call}

for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        result = {"ok": COMMANDS[name](**arguments)}
    except Failed as failed:
        result = {"error": failed.args[0]}
    except MauticApiError as raised:
        result = {"error": raised.to_dict()["error"]}
    except Exception as raised:
        result = {"error": {"raised": type(raised).__name__, "message": str(raised)}}
    print(json.dumps(result), flush=True)
