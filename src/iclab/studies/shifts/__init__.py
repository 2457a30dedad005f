"""§4.2 of the paper in numbers: which shifts the trained layer tolerates, beside least squares."""
