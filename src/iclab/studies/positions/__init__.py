"""The spike beyond the training length: what causes it, and why it shrinks at higher variance."""
