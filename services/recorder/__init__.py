"""Writes every exchange into the sinks: databases and webhooks.

Consumes  the capture stream, by a durable consumer for each sink.
Publishes heartbeats only, with how far each sink is behind.
Promises  every exchange once in each database, and at least once at a webhook, whenever it is killed; several recorders
          share a Postgres; a sink that is down holds no other; traffic never waits for any.
"""
