"""Recipes, stages, the loop, resuming, several processes."""
