from typing import Any
def fetch(request, *, columns: dict[str, Any] = {}, date_format: str = "", thousands: str = ""):
    raise SystemExit("not written yet")
