"""The garbage collector's settings in the processes that carry the load."""

import gc

# Allocations before a look at the young objects, and how many looks before one at the older ones.
THRESHOLDS = (50_000, 20, 50)


def spare_what_is_loaded() -> None:
    """Have the collector pass over what is loaded by now, which stays for good, and let young objects gather."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
