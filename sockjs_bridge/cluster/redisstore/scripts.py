"""What Redis does in one step: each script runs there as a whole, and nothing comes between.

An entry of a stream has the id ``EPOCH-NUMBER``, and its number goes up by one within an epoch
(Redis 7.0: ``XADD key EPOCH-*``); the entry with the number 0 holds no message, an epoch begins
with it. An epoch is the time of its beginning, in microseconds of Redis's clock, and above all that
any process has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any


class Script:
    """A script in Lua, known to Redis by its hash.

    Args:
        text: see `text`.

    Attributes:
        text: of the script.
        sha: the SHA-1 of the text, in hexadecimal digits.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


#: What the scripts begin with that need the time.
MICROSECONDS = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function whole(number) return string.format('%.0f', number) end
"""

_BEGIN = (
    MICROSECONDS
    + """
local function begin(last, floor)
  local epoch = whole(math.max(now, floor, (last or -1) + 1))
  redis.call('XADD', KEYS[1], epoch .. '-0', 'm', '', 't', whole(now))
  return epoch
end
"""
)

#: Keeps a message and publishes it.
#: Keys: the stream. Arguments: channel, payload, size, the epoch that the room is taken to have or
#: 0, the floor of epochs, milliseconds that the stream lives, whether to begin that life anew.
#: Returns the id.
ADD = Script(
    _BEGIN
    + """
local function add(epoch)
  return redis.pcall('XADD', KEYS[1], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[3], epoch .. '-*',
                     'm', ARGV[2], 't', whole(now))
end
local id, renew = false, ARGV[7] == '1'
if ARGV[4] ~= '0' then
  id = add(ARGV[4])
  if type(id) == 'table' then
    if not string.find(id.err, 'equal or smaller', 1, true) then return id end
    id = false
  end
end
if not id then
  local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  local epoch = last and string.match(last[1], '^%d+')
  if not epoch or tonumber(epoch) < tonumber(ARGV[5]) then
    epoch = begin(tonumber(epoch), tonumber(ARGV[5]))
    renew = true
  end
  id = add(epoch)
elseif string.sub(id, -2) == '-0' then
  id = add(ARGV[4])
end
if type(id) == 'table' then return id end
if renew then redis.call('PEXPIRE', KEYS[1], ARGV[6]) end
redis.call('PUBLISH', ARGV[1], id .. ' ' .. ARGV[2])
return id
"""
)

#: Looks up what came behind a position, and begins an epoch where nothing is known.
#: Keys: the stream. Arguments: epoch and number, how many entries at most, microseconds that a
#: message is kept, milliseconds that the stream lives, the floor of epochs.
#: Returns the id of the last entry; and all entries behind the position, where they are there.
SINCE = Script(
    _BEGIN
    + """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local top = last and last[1] or begin(nil, tonumber(ARGV[6])) .. '-0'
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local epoch, number = string.match(top, '^(%d+)-(%d+)$')
if epoch ~= ARGV[1] then return {top} end
local count = number - ARGV[2]
if count < 0 or count > tonumber(ARGV[3]) then return {top} end
if count == 0 then return {top, {}} end
local entries = redis.call('XRANGE', KEYS[1], epoch .. '-' .. whole(ARGV[2] + 1), '+')
if #entries ~= count or entries[1][2][4] + ARGV[4] <= now then return {top} end
local found = {}
for _, entry in ipairs(entries) do
  found[#found + 1] = entry[1]
  found[#found + 1] = entry[2][2]
end
return {top, found}
"""
)

#: Looks up the last entries of streams, which live on then. Keys: the streams. Arguments:
#: milliseconds that each lives. Returns their ids; empty where there is none.
TOPS = Script(
    """
local found = {}
for at, key in ipairs(KEYS) do
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if last then redis.call('PEXPIRE', key, ARGV[at]) end
  found[at] = last and last[1] or ''
end
return found
"""
)

#: Notes a member. Keys: of the room's members, of the process's. Arguments: member, info.
#: Returns 1 where it was not in.
COME = Script(
    """
redis.call('SADD', KEYS[2], ARGV[1] .. ' ' .. KEYS[1])
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
"""
)

#: Forgets a member. Keys and arguments as of `COME`. Returns 1 where it was in.
GO = Script(
    """
redis.call('SREM', KEYS[2], ARGV[1] .. ' ' .. KEYS[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
"""
)

#: Lists members of processes that live. Keys: of the members. Arguments: the prefix of leases.
#: Returns members and infos in turns.
PRESENT = Script(
    """
local living, found = {}, {}
local members = redis.call('HGETALL', KEYS[1])
for at = 1, #members, 2 do
  local node = string.match(members[at], '^[^/]*')
  if living[node] == nil then living[node] = redis.call('EXISTS', ARGV[1] .. node) == 1 end
  if living[node] then
    found[#found + 1] = members[at]
    found[#found + 1] = members[at + 1]
  end
end
return found
"""
)

#: Declares a process dead that has no lease, and forgets some of its members; whoever asks gets
#: others. Keys: the lease, the process's members, all processes, that it is dead. Arguments: the
#: process, how many members at most, milliseconds that it is known to be dead.
#: Returns how many were looked at; then the key of the room's members, the member and its info in
#: turns.
SWEEP = Script(
    """
if redis.call('EXISTS', KEYS[1]) == 1 then return {0} end
redis.call('SET', KEYS[4], '', 'PX', ARGV[3])
local popped = redis.call('SPOP', KEYS[2], ARGV[2])
local found = {#popped}
for _, each in ipairs(popped) do
  local member, key = string.match(each, '^(%S+) (.*)$')
  local info = redis.call('HGET', key, member)
  if info then
    redis.call('HDEL', key, member)
    for _, value in ipairs({key, member, info}) do found[#found + 1] = value end
  end
end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SREM', KEYS[3], ARGV[1]) end
return found
"""
)

#: Renews a lease. Keys: the lease, all processes, that it is dead, the marker. Arguments: the
#: process, what it says of itself, milliseconds. Returns -1 where it was declared dead; 0 where the
#: marker is gone: Redis was emptied.
LEASE = Script(
    """
if redis.call('EXISTS', KEYS[3]) == 1 then return -1 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('SADD', KEYS[2], ARGV[1])
return redis.call('EXISTS', KEYS[4])
"""
)

#: Gives up a lease. Keys: the lease, all processes, that it is dead, the process's members.
#: Arguments: the process.
RELEASE = Script(
    """
redis.call('DEL', KEYS[1], KEYS[3])
if redis.call('EXISTS', KEYS[4]) == 0 then redis.call('SREM', KEYS[2], ARGV[1]) end
"""
)

#: Lists processes. Keys: all processes. Arguments: the prefix of leases.
#: Returns each process and what it says of itself, in turns; false where it has no lease.
LEASES = Script(
    """
local found = {}
for _, node in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  found[#found + 1] = node
  found[#found + 1] = redis.call('GET', ARGV[1] .. node)
end
return found
"""
)

#: Takes a session. Keys: of the session. Arguments: the process, milliseconds, the prefix of
#: leases. Returns which process has it.
CLAIM = Script(
    """
local home = redis.call('GET', KEYS[1])
if home and home ~= ARGV[1] and redis.call('EXISTS', ARGV[3] .. home) == 1 then return home end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
)

#: Keeps sessions for a process, where no other one has them.
#: Keys: of the sessions. Arguments: the process, milliseconds.
#: Returns a number for each: 1 where another process has it.
KEEP = Script(
    """
local taken = {}
for i, key in ipairs(KEYS) do
  local home = redis.call('GET', key)
  taken[i] = (home and home ~= ARGV[1]) and 1 or 0
  if taken[i] == 0 then redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
end
return taken
"""
)

#: Gives up sessions of a process. Keys: of the sessions. Arguments: the process.
DISCLAIM = Script(
    """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""
)

ALL = (ADD, SINCE, TOPS, COME, GO, PRESENT, SWEEP, LEASE, RELEASE, LEASES, CLAIM, KEEP, DISCLAIM)


def command(script: Script, keys: Iterable[bytes], *arguments: Any) -> tuple[Any, ...]:
    """Returns the command that runs a script which Redis has."""
    names = [*keys]
    return ("EVALSHA", script.sha, len(names), *names, *arguments)


def whole(script: Script, keys: Iterable[bytes], *arguments: Any) -> tuple[Any, ...]:
    """Returns the command that runs a script which Redis may not have."""
    names = [*keys]
    return ("EVAL", script.text, len(names), *names, *arguments)
