"""Which mixer learns what: one layer of each beside its exact learner, and small models of each on five problems."""
