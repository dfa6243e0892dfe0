"""Tests of the model definitions, most of them against transformers with the same random weights."""
