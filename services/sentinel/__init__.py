"""Finds answers that run in a loop.

Consumes  work.watch, as one of a queue group; of the answers that it watches the raw legs, as a tap; done.
Publishes req.<id>.event.loop-found; where the model says `stop` or `retry`, a cancel with the finish reason
          that the answer, or with `retry` this call, is to end with.
Promises  never in the way: an answer passes whether a sentinel runs, dies or is late; what one that died watched is
          watched on by another one, from its beginning, and nothing is told twice; the same verdict for the same
          text, however it was cut; the same cost for every character of it, however long.
"""
