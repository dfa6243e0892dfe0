"""Readers, order of samples, streams, the cache."""
