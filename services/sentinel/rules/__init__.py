"""What a sentinel decides: which answers run in a loop, and whether all is lost. No I/O, no clock.

The detector of one text is `shared.repeats`; `docs/loops.md` tells how it works, with figures.
"""
