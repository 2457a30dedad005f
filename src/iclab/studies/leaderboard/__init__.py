"""Steps to error: how soon recipes of training reach a given error."""
