"""Writes every exchange into the sinks: databases, webhooks, and a collector of traces.

Consumes  the capture stream, by a durable consumer for each sink; ask.records.
Publishes heartbeats, with how far each sink is behind; answers to what is asked of the records.
Promises  every exchange once in each database, and at least once at the others, whenever it is killed; several
          recorders share a Postgres; a sink that is down holds no other; traffic never waits for any.
"""
