"""What the device, the worker and the partitioner must agree on."""

import os

# onnxruntime since 1.29 sends what it loads and how long it runs to Microsoft, keeps a device id and a database for it,
# and looks at this once, when it is loaded: so it stands where nothing of ours is imported before.  A person may say 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
