"""Sessions. No I/O, no framework, no event loop: driven by calls, and by a clock that tests hold.

To be read in this order:

1. `contracts`: every seam, with who calls whom and when; `monitor`: what is counted.
2. `protocol`, then `transports`: the wire, and what each transport makes of it.
3. `settings`, `clock`: what bounds a session, and what calls it when something is due.
4. `states`, by the tables of `statemachine`: what a session can be in. On top of that `inbound`
   (what waits for its application), `outbound` (what leaves for its client, with `outbox`,
   `backlog`, `frames` and `deadlines`), and `session`: what moves its states. Beside it
   `credentials` (who may go on with it) and `repeats` (what a browser asks for twice).
5. `rooms`, `broadcasts`, `flusher`: many sessions at once.
6. `manager`, on top of `basemanager`: the sessions of one endpoint, from birth to end; `hub`: what
   all endpoints share.
"""
