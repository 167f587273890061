"""Draw the plots of `dvc plots show` as SVG files, without a browser and without a network.

`dvc plots show` writes a page that loads its scripts from a CDN. This renders the same plots, the
same templates and data, to files: `python docs/pictures.py [folder]` (`make pictures`). With
revisions or experiments after the folder it draws those of `dvc plots diff`, side by side:
`python docs/pictures.py var/pictures HEAD averages` (`make pictures REVS='HEAD averages'`).
"""

import json
import subprocess
import sys
from pathlib import Path

import vl_convert


def main() -> None:
    """Render every plot of the checked-out revision, or of the revisions that are named."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    which = ["diff", *sys.argv[2:]] if sys.argv[2:] else ["show"]
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", *which, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr.strip())
    for name, (plot, *_) in sorted(json.loads(done.stdout)["data"].items()):
        path = Path(name)
        picture = folder / f"{path.parent.name}-{path.stem}.svg"
        content = plot["content"]
        specification = content if isinstance(content, dict) else json.loads(content)
        picture.write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
        sys.stdout.write(f"{picture}\n")


if __name__ == "__main__":
    main()
