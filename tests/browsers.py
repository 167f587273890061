"""The browser of this machine, if it has one."""

import shutil

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
REMEDY = "no browser; install one to run these tests: apt install chromium"
