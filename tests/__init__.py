"""The tests of altclip; tests/conftest.py holds what they share."""
