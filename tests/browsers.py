"""The browser of this machine, if it has one."""

import shutil

# The first is the second without its windows: it draws the same in four fifths of the CPU time.
_PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")

BROWSER = next(filter(None, map(shutil.which, _PROGRAMS)), None)
REMEDY = "no browser; install one to run these tests: apt install chromium-headless-shell"
