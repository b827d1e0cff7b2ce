"""The marriage with Pyramid."""
