"""Readers of image-text pairs, labelled images and parallel text; batches that are a pure function of the step."""
