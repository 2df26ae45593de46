"""Tests of adrs/commands."""
