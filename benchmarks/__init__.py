"""The measured comparisons: `make bench`. Times on shared machines mean little alone, so each row names its bar."""
