"""The worker: takes what devices offload, finishes it in batches, and says no early rather than late."""
