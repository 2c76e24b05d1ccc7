"""The camera's program: frames in, one answer each by its deadline, whatever the network does."""
