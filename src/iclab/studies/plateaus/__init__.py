"""Plateaus of heads with keys and queries apart: predicted heights and times beside what gradient flow does."""
