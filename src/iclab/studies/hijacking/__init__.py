"""Labels and inputs that force a prediction: exact on linear learners, by gradients on trained models."""
