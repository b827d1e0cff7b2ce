"""Sessions. No I/O, no framework, no event loop: driven by calls, and by a clock that tests hold.

To be read in this order:

1. `contracts`: what a session needs of its two sides, the server and the application.
2. `protocol`, then `transports`: the wire, and what each transport makes of it.
3. `settings`, `clock`: what bounds a session, and what tells it the time.
4. `session`: its states, and with it `outbox` (what waits for its client), `inbound` (what waits
   for its application), `credentials` (who may go on with it) and `repeats` (what a browser asks
   for twice).
5. `rooms`, `broadcasts`: many sessions at once.
6. `manager`: the sessions of one endpoint, from birth to end.
"""
