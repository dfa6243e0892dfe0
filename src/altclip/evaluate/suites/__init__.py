"""Suites of benchmark sets: models measured on each in every language, beside published rows; reports compared."""
