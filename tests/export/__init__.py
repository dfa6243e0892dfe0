"""Tests of the exported forms."""
