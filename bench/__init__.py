"""The benchmark: ``make bench`` measures this server beside the other SockJS servers."""
