"""What people do with revisions: refresh, experiments, search, remote, release, lineage, report."""

import gc
import sys

if sys.argv[:1] == ["-m"]:
    # Run as `python -m`: imports make no garbage, and looking for it takes a sixth of their time.
    # `stages.common.running.run` turns the collector on again.
    gc.disable()
