"""Build time: import a network, find its cuts, cut it, prove the pieces, calibrate the exits."""

import split_core as split_core  # first: see what it says to onnxruntime
