"""Whether what the database holds can be: the invariants of DESIGN section 7, checked from outside the engine."""
