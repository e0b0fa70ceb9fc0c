"""The rules of repair. Pure: no I/O, no clock, no log.

choice.py        one choice: deltas in, deltas out; it owns everything below
fields.py        which field of a delta means what
text.py          a text as it arrives: answer, thought, blocks; held.py has what waits, left.py what is left as it came
lookout.py       what begins at a place of it: the grammars' answers, weighed against code, quotes and what is off
grammar.py       what a grammar is; grammars/ has them all
structured.py    which fragment belongs to which structured call
desk.py          every call passes here: arguments.py, schema.py, offer.py (names), ids.py
finish.py        why an answer ended
catalog.py       every repair by name
"""
