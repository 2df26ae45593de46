"""The judge: problems, scenarios and the serving simulator that scores policies."""
