// The reconnecting client: see docs/howto/reconnecting.rst.

export class ReconnectingSockJS extends EventTarget {}
