"""Build time: import a network, find its cuts, cut it, prove the pieces, calibrate the exits."""
