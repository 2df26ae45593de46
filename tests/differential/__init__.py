"""Our simulator against implementations that are not ours."""
