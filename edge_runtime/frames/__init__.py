"""A frame's way: chosen, run, answered or shipped, settled; what its steps cost and what fits into its time."""
