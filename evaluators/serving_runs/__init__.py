"""Measured runs of real serving engines, and how near the simulator comes to them."""
