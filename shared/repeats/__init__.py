"""Whether a text runs in a loop, and since where: the detector that sentinel and enforcer share. No I/O, no clock.

`docs/loops.md` tells how, with figures.
"""
