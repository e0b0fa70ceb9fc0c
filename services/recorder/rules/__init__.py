"""Messages of the capture stream to records: no I/O, no clock.

messages  one captured message, read; and how messages wait in the database
legs      frames to the bytes of a leg
exchange  the messages of one exchange to its rows
retelling rows to what it takes to tell a response again
rows      facts that several rows share: tokens, speeds, faults, headers
"""
