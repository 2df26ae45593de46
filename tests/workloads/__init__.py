"""Tests of evaluators/workloads."""
