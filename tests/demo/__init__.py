"""Tests of `altclip demo`."""
