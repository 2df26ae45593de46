"""Kernels measured on the device at hand; the only folder that imports torch."""
