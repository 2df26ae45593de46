"""Machine code for scenarios under the built-in rules; needs the extra ``fast``."""
