"""Tests of the class names of the model cards."""
