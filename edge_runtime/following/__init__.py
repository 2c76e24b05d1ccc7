"""Policies while the camera runs: what they have learned, others that take over, and those in the shadow."""
