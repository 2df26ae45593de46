"""Varying policies on their syntax trees: tune, cross, grow, shrink."""
