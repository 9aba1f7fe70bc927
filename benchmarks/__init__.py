"""The measured comparison: `make bench`. Each part is a module; `parts` lists them, `bars` says what is expected."""
