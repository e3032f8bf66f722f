"""Telling people that a run is done: subscriptions (documents of kind "notice") and their delivery."""
