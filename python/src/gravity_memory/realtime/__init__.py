"""Subscriptions: one connection that listens, read for all subscribers of a client."""
