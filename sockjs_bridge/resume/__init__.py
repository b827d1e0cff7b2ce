"""Sessions that survive their connections: the sub-protocol ``~r1``. No I/O, no clock of its own.

To read in this order: `frames` (the grammar), `states` (the life as a table), `kept` and `arrivals`
(what is counted, each way), `run`, `writing`, `outgoing`, `incoming`, `deadlines`, `session`,
`link` (a WebSocket), `mux` (what several sessions share), `telling`, `tombstones`, `manager`. What
they need of their sides stands in `contracts`, the three ways down in `transports`.
"""
