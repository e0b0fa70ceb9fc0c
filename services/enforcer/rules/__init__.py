"""What an enforcer decides: how a turn is asked, whether its answer will do, what the client gets. No I/O, no clock.

`request` reads and extends requests, `demand` says what applies to one; `turn` leads from one call to the next, with
`reading` and `attempt` for what is heard of a call, `voice` and `message` for what is said of it to the client.
"""
