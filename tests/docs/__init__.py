"""The pages of `docs/` that are generated: written by `python -m tests.docs`, and compared by the tests."""
