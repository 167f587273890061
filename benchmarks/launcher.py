"""Runs a command and prints, as JSON, its wall time in seconds and its peak memory in bytes.

The peak that the system reports is never less than the memory of the parent at the fork. This
launcher is therefore small, and imports nothing of the project.
"""

import json
import os
import sys
import time

STDOUT, STDERR = 1, 2


def main() -> None:
    """Run the command line; its output goes to stderr, and its exit status becomes ours."""
    command = sys.argv[1:]
    start = time.perf_counter()
    process = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, STDERR, STDOUT)],
    )
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak": usage.ru_maxrss * unit}))
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
