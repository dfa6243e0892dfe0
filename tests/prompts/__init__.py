"""Tests of altclip.prompts."""
