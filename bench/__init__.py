"""Measurements; not part of the tests, which assert no times beyond the specification's own."""
