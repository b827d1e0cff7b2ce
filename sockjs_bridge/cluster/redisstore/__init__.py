"""The store on Redis.

To read in this order: `scripts` (what happens there in one step), `keys` (names, and how messages
are written), `server` (connections, and what errors mean), `acquaintance` (the first words),
`commands` and `subscriptions` (what goes over the two connections), `lifecycle` (when they are
there), `asking` and `store` (what fulfils `Store`).
"""
