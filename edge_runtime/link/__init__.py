"""The ways to the workers: what is sent to whom, what is in flight, and when a worker is worth asking."""
