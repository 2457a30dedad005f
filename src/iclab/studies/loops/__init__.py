"""Loops: one block applied many times, beside untied layers and tied GD++."""
