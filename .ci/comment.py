"""Keep one comment on a pull request: written the first time, replaced from then on.

    python .ci/comment.py NUMBER FILE

Runs on GitHub, which sets GITHUB_API_URL and GITHUB_REPOSITORY; GITHUB_TOKEN is the job's. Where
the token may not write, as in a pull request from a fork, it says so and succeeds: the same
tables are in the summary of the run.
"""

import json
import os
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

MARK = "<!-- metrics-diff -->"
LIMIT = 65_536
PAGE = 100


def body(text: str) -> str:
    """The comment: marked, and cut after a whole line where GitHub would refuse its length."""
    marked = f"{MARK}\n{text}"
    if len(marked) <= LIMIT:
        return marked
    note = "\n\nCut off here: the rest is in the summary of the run."
    whole = marked[: LIMIT - len(note)].rpartition("\n")[0]
    return whole + note


def ask(method: str, path: str, content: object = None) -> Any:
    """Ask GitHub's API about the repository; returns what its JSON says."""
    url = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}"
    request = Request(  # noqa: S310  # the URL is GitHub's own
        url,
        method=method,
        data=None if content is None else json.dumps(content).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "Content-Type": "application/json",
        },
    )
    with urlopen(request, timeout=60) as answer:  # noqa: S310  # the same
        return json.load(answer)


def former(number: str) -> int | None:
    """The comment that an earlier run left."""
    page = 1
    while True:
        listed = ask("GET", f"issues/{number}/comments?per_page={PAGE}&page={page}")
        for comment in listed:
            if comment["body"].startswith(MARK):
                return int(comment["id"])
        if len(listed) < PAGE:
            return None
        page += 1


def main(number: str, file: str) -> None:
    """Write or replace the comment."""
    content = {"body": body(Path(file).read_text(encoding="utf-8"))}
    try:
        if (known := former(number)) is None:
            ask("POST", f"issues/{number}/comments", content)
        else:
            ask("PATCH", f"issues/comments/{known}", content)
    except HTTPError as error:
        if error.code != HTTPStatus.FORBIDDEN:
            raise SystemExit(f"error: GitHub answered {error.code} {error.reason}") from None
        sys.stdout.write(
            "::notice::The token of this run may not comment; "
            "the tables are in the summary of the run.\n"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
