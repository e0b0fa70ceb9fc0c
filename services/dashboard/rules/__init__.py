"""Decisions of the dashboard: who may come in, what is asked for, and what is shown. No I/O, no clock."""
