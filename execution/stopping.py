"""Whether this worker has been asked to stop, known to its pool whatever that is made of.

A prefork child gets no signal in a warm shutdown and shares no variable with its parent. What it does share is a byte
of memory that was mapped before the fork; threads see the same byte.
"""

from mmap import mmap

# Anonymous and shared: a child that is forked later, in place of one that died, has it too.
_flag = mmap(-1, 1)


def ask_to_stop() -> None:
    """Have every batch of this worker begin nothing more and give back what it has not begun."""
    _flag[0] = 1


def go_on() -> None:
    """Take the wish back: the process goes on, with another worker."""
    _flag[0] = 0


def is_asked_to_stop() -> bool:
    """Say whether the worker shall come to its end."""
    return _flag[0] == 1
