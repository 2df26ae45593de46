"""Models that write policies; each file of this folder is one provider."""
