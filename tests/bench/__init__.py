"""Tests of `altclip bench`."""
