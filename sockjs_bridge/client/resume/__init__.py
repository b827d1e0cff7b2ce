"""The client's side of ``~r1`` without I/O: driven by calls, and by a clock that tests hold.

To read in this order: `states` (the life as a table), `counts` (what both ends count), `links` (one
connection, whatever it is), `policy` (what is tried when, as numbers), `core`.
"""
