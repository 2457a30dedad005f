"""Task diversity: from which number of training tasks on a transformer generalises instead of remembering."""
