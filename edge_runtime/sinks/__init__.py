"""Where outcomes go.  A sink that hangs or fails never delays a frame; what was lost is counted."""
