"""Formats of measured runs; each file here ``recognises`` and ``read``s one."""
