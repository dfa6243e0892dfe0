"""Tests of reading, writing and fetching models."""
