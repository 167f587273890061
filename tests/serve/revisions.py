"""Revisions with other models than the project has, in the time that DVC takes to note them."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.projects import Project


def another(project: Project, level: float) -> None:
    """Set the level of intervals, which changes the forecast of the next session.

    As `dvc repro` leaves it, but for the seconds in which models are fitted and scored.
    """
    before, _, after = (project.folder / "params.yaml").read_text("utf-8").partition("  level: ")
    text = f"{before}  level: {level}\n{after.partition(chr(10))[2]}"
    (project.folder / "params.yaml").write_text(text, encoding="utf-8")
    path = project.folder / "models" / "short" / "model.onnx"
    model = onnx.load(path)
    former = f"return_before_{level}"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [former if name == "return" else name for name in names]
    shift = numpy_helper.from_array(np.array(level / 1000, np.float32), f"by_{level}")
    model.graph.initializer.append(shift)
    model.graph.node.append(helper.make_node("Add", [former, f"by_{level}"], ["return"]))
    path.write_bytes(model.SerializeToString())
    project.dvc("commit", "--quiet", "--force", "evaluate@short")
