"""One script per published number.  Each prints JSON, ours and the peer interleaved in one run."""
