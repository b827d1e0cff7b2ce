"""Handlers for the connections of one route, a module for each."""
