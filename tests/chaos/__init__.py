"""Real processes broken on purpose while triggers flow in: nothing lost, nothing twice, nothing stuck."""
