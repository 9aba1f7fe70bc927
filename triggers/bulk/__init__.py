"""Many triggers of one workflow at once: as one JSON body, all or none, or line by line, as far as they are valid."""
