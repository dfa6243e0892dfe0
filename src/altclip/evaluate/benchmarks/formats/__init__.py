"""Readers, one for each form in which sets are handed out."""
