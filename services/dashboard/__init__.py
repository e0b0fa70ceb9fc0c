"""The page for people, and its JSON API.

Consumes: the records (reading, and marks in short transactions); while somebody looks, `req.*.request`, the raw legs,
`req.*.done`, `worker.*.*` and `provider.*.state`; of one exchange that is looked at, all its messages.
Publishes: heartbeats; a `cancel` where somebody stops a request by hand.
Promises: costs the pipeline nothing while nobody looks; shows no key; what was said is shown, never obeyed.
"""
