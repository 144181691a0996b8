"""Keeps the people who may be written to in a table of SQLite. Needs Python 3.8, and the variable DATABASE."""
import json
import os
import sqlite3
import sys


def handle(db, delivery):
    """Does what the delivery asks for, and returns the outcome."""
    email = (delivery["record"]["contact"].get("email") or "").strip().lower()
    if not email:
        return {"outcome": "reject", "reason": "the contact has no e-mail address"}
    with db:  # Both rows are written, or none.
        first_time = db.execute("INSERT OR IGNORE INTO done (key) VALUES (?)", [delivery["key"]]).rowcount
        if not first_time:  # The answer was lost on its way.
            return {"outcome": "delivered"}
        change = delivery["change"]
        if change == "subscribe":
            name = delivery["record"]["contact"].get("firstName")
            db.execute("INSERT OR REPLACE INTO people (email, name) VALUES (?, ?)", [email, name])
        elif change in ("unsubscribe", "suppress", "remove"):
            db.execute("DELETE FROM people WHERE email = ?", [email])
        else:  # "none": the person neither agreed nor opted out.
            return {"outcome": "skip", "reason": "the person did not agree"}
    return {"outcome": "delivered"}


def main():
    db = sqlite3.connect(os.environ["DATABASE"])
    db.execute("CREATE TABLE IF NOT EXISTS people (email TEXT PRIMARY KEY, name TEXT)")
    db.execute("CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY)")
    for line in sys.stdin:  # Ends when Causeway ends.
        message = json.loads(line)
        if message.get("check"):
            answer = {"ok": True}
        else:
            try:
                answer = handle(db, message)
            except sqlite3.OperationalError as error:  # Locked, or the disk is full.
                answer = {"outcome": "retry", "reason": str(error)}
            answer["key"] = message["key"]
        print(json.dumps(answer), flush=True)


main()
