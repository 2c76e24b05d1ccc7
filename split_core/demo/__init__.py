"""`offramp demo`: the whole main job, driven as a user would: every step is a command of its own."""
