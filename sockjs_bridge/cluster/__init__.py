"""What the processes of an application share, and rooms whose messages are kept for a while.

Imported by who declares such rooms, or sets ``sockjs.cluster``. To read in this order, for one
process: `engine` (the contract of what keeps messages), `memory` (what fulfils it here), `rooms`
(who gets what, live and afterwards). For many: `store` (the contract of what they share),
`positions` and `hub` (what rooms' messages pass), `clusterrooms` (who gets what), `links` and
`relay` (sessions that live elsewhere), `nodes` (who lives), `cluster` (all of it together).
"""
