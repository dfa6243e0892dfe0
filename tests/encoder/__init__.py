"""Tests of the encoder and the engines."""
