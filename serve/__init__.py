"""The HTTP API: forecasts from whatever model revision is checked out, each durably logged."""

import os

# onnxruntime reports its use to its makers unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
