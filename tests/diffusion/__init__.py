"""Tests of pictures from words."""
