"""Workloads: how requests are drawn, and the readers of recorded traces."""
