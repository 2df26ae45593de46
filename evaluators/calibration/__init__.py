"""Calibration: how long a step takes on a measured GPU, and who measured it."""
