"""One file per study: its saved record in, drawings out. Nothing is computed here but coordinates."""
