"""The lineage of the real sample, and the commands of docs/provenance.md."""

import json
import re
from typing import Any

import pytest

from tests.projects import ROOT, Project
from versions.repository import lock

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "provenance.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def lineage(project: Project, *arguments: str) -> Any:
    return json.loads(project.run("python", "-m", "versions.lineage", *arguments, "--json"))


def test_every_output_is_at_hand_and_leads_to_the_raw_bars(project: Project) -> None:
    for command in BLOCKS:
        printed = project.run("bash", "-euc", command)
        assert "sample" in printed
    assert len(BLOCKS) == 4
    outs = set(lock.read(project.folder / "dvc.lock").outs)
    lineages = [lineage(project, folder) for folder in ("data", "models", "metrics")]
    states = {
        path: state for each in lineages for path, state in each["workspace"]["at_hand"].items()
    }
    assert states == dict.fromkeys(outs, "same")
    for each in lineages:
        assert not each["workspace"]["lock_changed"]
        assert each["stages"][-1]["name"] == "ingest"
        assert each["raw"] == {"source": "sample", "options": {}, "as_of": "2012-12-31"}


def test_json_has_the_keys_that_the_page_describes(project: Project) -> None:
    keys = " ".join(re.findall(r"^\| (.*?) \|", TEXT, re.MULTILINE))
    described = set(re.findall(r"`(\w+)`", keys))
    first = lineage(project, "models/short/card.json")
    md5 = first["outputs"][0]["md5"]
    again = lineage(project, "--md5", md5[:8])
    assert set(first) | set(again) == described
    assert (again["md5"], again["path"]) == (md5, "models/short/card.json")
    assert again["stages"] == first["stages"]
    assert again["commit"]["id"] == project.git("rev-parse", "HEAD").strip()
