"""What the device, the worker and the partitioner must agree on."""
