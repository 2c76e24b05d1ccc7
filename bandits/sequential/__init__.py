"""Ours: stop with a reading, go deeper or ship, decided after every exit by a learned value of going on.

`states` names what is known after a reading, `counts` holds what frames taught, `curve` and `estimates` turn that
into probabilities, `values` turns probabilities and prices into moves, `policy` plays them,
`drift` tells when frames have changed.
"""
