"""Sees to it that a turn ends as it should: in a tool call, with calls that can be carried out, and in no loop.

Consumes  work.enforce; normal legs; cancels.
Publishes the leg out, on call c0; offers to normalize, one for each attempt; cancels of calls that loop; the events
          re-prompted, invalid-call and exhausted.
Promises  one message for the client whatever number of calls it takes, with one id and the tokens of all; nothing of
          the termination tool in it; a bounded number of attempts; no call for a turn that has ended already.
"""
