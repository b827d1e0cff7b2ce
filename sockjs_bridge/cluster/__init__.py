"""Rooms whose messages are kept for a while, in this process.

Imported by who declares such rooms alone. To read in this order: `engine` (the contract of what
keeps them), `memory` (what fulfils it here), `rooms` (who gets what, live and afterwards).
"""
