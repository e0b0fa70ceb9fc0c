"""What was recorded, played again.

recording  an exchange as it can be played: the client's request, what each call to a provider was answered, and when
scrubbing  taking out of it what must not leave the machine
earlier    responses that a request goes on from
player     a provider that answers as recorded
stage      the pipeline of this process, on a bus in memory, in front of a player
compared   two answers side by side
written    a recording as a test
"""
