"""What a SockJS URL answers. No I/O: a request's parts go in, what to answer comes out."""
