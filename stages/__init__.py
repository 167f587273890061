"""The pipeline: one module per DVC stage, and the few modules that they share."""

import os

# onnxruntime reports its use to its makers unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
