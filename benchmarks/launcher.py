"""Runs a command and prints, as JSON, its wall time in seconds and its peak memory in bytes.

The peak that the system tells is never less than the parent's at the moment of the fork: this
launcher is small so that it does not show. It imports nothing of the project.
"""

import json
import os
import sys
import time

STDOUT, STDERR = 1, 2


def main() -> None:
    """Run the command line; what it prints goes to stderr, and its exit status becomes ours."""
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
