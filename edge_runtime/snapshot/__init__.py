"""One frame, and everything about it, for people."""
