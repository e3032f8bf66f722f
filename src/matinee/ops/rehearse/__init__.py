"""Dress rehearsal."""
