"""Tests of pictures and texts on their way to the towers."""
