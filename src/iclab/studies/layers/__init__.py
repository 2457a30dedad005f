"""What trained models do layer by layer."""
