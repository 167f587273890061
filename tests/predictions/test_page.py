"""The examples of docs/prediction-log.md, run as they stand, but for the port and the database."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.predictions.postgres import Postgres
from tests.projects import ROOT, Project
from tests.serve.servers import Server

PAGE = (ROOT / "docs" / "prediction-log.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:sh|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ASK, LABEL, EXPORT, READ, PRUNE, MIGRATE = BLOCKS


def test_the_examples_of_the_page(project: Project) -> None:
    with Server(project.folder, project.folder / "var") as server:
        shell = f"{ASK}\necho\n{LABEL}".replace("localhost:8000", f"127.0.0.1:{server.port}")
        printed = project.run("bash", "-euc", shell)
        # Two on the first line: the one, and the list of it.
        one, listed, label = _documents(printed)
        assert one["inputs"]
        assert [row["id"] for row in listed["predictions"]] == [one["id"]]
        assert label["prediction_id"] == one["id"]
        assert label["actual_return"] == pytest.approx(528.30 / one["last_close"] - 1)
        assert "wrote 1 predictions to log.parquet" in project.run("bash", "-euc", EXPORT)
        assert "shape: (1, 5)" in project.run("python", "-c", READ)
        printed = project.run("bash", "-euc", PRUNE)
    assert [line.split(" predictions")[0] for line in printed.splitlines()] == [
        "would remove 0",
        "removed 0",
    ]


def _documents(text: str) -> list[dict[str, Any]]:
    decoder, documents = json.JSONDecoder(), []
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:]
    return documents


def test_the_tables_of_postgresql_are_made_as_the_page_says(
    project: Project, postgres: Postgres
) -> None:
    url = postgres.new_database()
    commands, serve = MIGRATE.rsplit("\n", 2)[:2]
    assert serve == "make serve"
    script = commands.replace("postgresql://serve@localhost/forecasts", url)
    assert url in script
    printed = project.run("bash", "-euc", script.replace("make ", f"make VENV={sys.prefix} "))
    assert "went from no tables to version" in printed
    with psycopg.connect(url) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = {name for (name,) in connection.execute(query)}
    assert tables == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) | {"alembic_version"}


def test_every_path_that_is_linked_exists() -> None:
    for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / Path(path)).exists(), path
