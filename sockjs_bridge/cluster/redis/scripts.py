"""What Redis does in one step: each script runs there as a whole, and nothing comes between.

An entry of a stream has the id ``EPOCH-N``, as Redis writes it: N goes up by one within an epoch,
from 0 (Redis 7.0: ``XADD key EPOCH-*``), and a room's numbers are N + 1. An epoch is the time of
its beginning, in microseconds of Redis's clock, and above all that any process has seen.
"""

from __future__ import annotations

import hashlib


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


_MICROSECONDS = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function whole(number) return string.format('%.0f', number) end
"""

#: Keeps a message and publishes it.
#: Keys: the stream. Arguments: channel, payload, size, the epoch that the room is taken to have or
#: 0, the floor of epochs, milliseconds that the stream lives, whether to begin that life anew.
#: Returns the id.
ADD = Script(
    _MICROSECONDS
    + """
local function add(id)
  return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], id, 'm', ARGV[2], 't', whole(now))
end
local id
local renew = ARGV[7] == '1'
if ARGV[4] ~= '0' then
  id = redis.pcall('XADD', KEYS[1], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[3], ARGV[4] .. '-*',
                   'm', ARGV[2], 't', whole(now))
  if type(id) == 'table' and not string.find(id.err, 'equal or smaller', 1, true) then return id end
end
if type(id) ~= 'string' then
  local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  local epoch = last and tonumber(string.match(last[1], '^%d+'))
  if not epoch or epoch < tonumber(ARGV[5]) then
    epoch = math.max(now, tonumber(ARGV[5]), (epoch or 0) + 1)
    renew = true
  end
  id = add(whole(epoch) .. '-*')
  if type(id) == 'table' then return id end
end
if renew then redis.call('PEXPIRE', KEYS[1], ARGV[6]) end
redis.call('PUBLISH', ARGV[1], id .. ' ' .. ARGV[2])
return id
"""
)

#: Looks up what came behind a position.
#: Keys: the stream. Arguments: epoch, N, how many at most, microseconds that a message is kept.
#: Returns nothing where there is no stream; the id of the last entry; and all entries behind the
#: position, where they are there.
SINCE = Script(
    _MICROSECONDS
    + """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return {} end
local top = last[1]
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

#: Returns the ids of the last entries of streams; empty where there is none.
TOPS = Script(
    """
local found = {}
for _, key in ipairs(KEYS) do
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  found[#found + 1] = last and last[1] or ''
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

#: Forgets some members of a process that has no lease; whoever asks gets others.
#: Keys: the lease, the process's members, all processes. Arguments: the process, how many at most.
#: Returns how many were looked at; then the key of the room's members, the member and its info in
#: turns.
SWEEP = Script(
    """
if redis.call('EXISTS', KEYS[1]) == 1 then return {0} end
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

#: Renews a lease. Keys: the lease, all processes, the marker. Arguments: what the process says of
#: itself, milliseconds, its name. Returns 0 where the marker is gone: Redis was emptied.
LEASE = Script(
    """
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SADD', KEYS[2], ARGV[3])
return redis.call('EXISTS', KEYS[3])
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

#: Takes a session, unless another process has it that has a lease. Keys: of the session.
#: Arguments: the process that asks, milliseconds, the prefix of leases. Returns who has it.
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
KEEP = Script(
    """
for _, key in ipairs(KEYS) do
  local home = redis.call('GET', key)
  if not home or home == ARGV[1] then redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
end
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

#: Makes the acquaintance of a server. Keys: the marker, all processes. Arguments: the format of
#: the keys, the application, the server's run, the highest epoch that this process has seen on
#: another server or 0, a secret, the prefix of leases, the rooms with history or nothing.
#: Returns ``ok``, the floor of epochs and the cluster's secret; or whose keys these are.
MEET = Script(
    _MICROSECONDS
    + """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'hash' then return {'foreign', kind} end
local format, application, run, floor, secret =
  unpack(redis.call('HMGET', KEYS[1], 'format', 'application', 'run', 'floor', 'secret'))
if kind == 'hash' and not format then return {'foreign', kind} end
local other = format and format ~= ARGV[1]
if application and application ~= '' and ARGV[2] ~= '' and application ~= ARGV[2] then
  other = true
end
if other then
  for _, node in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    if redis.call('EXISTS', ARGV[6] .. node) == 1 then return {'other', format, application} end
  end
end
floor = tonumber(floor or '0')
if run ~= ARGV[3] then floor = math.max(now, floor + 1) end
floor = whole(math.max(floor, ARGV[4] + 1))
secret = secret or ARGV[5]
redis.call('HSET', KEYS[1], 'format', ARGV[1], 'run', ARGV[3], 'floor', floor, 'secret', secret)
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'application', ARGV[2]) end
if ARGV[7] ~= '' then redis.call('HSET', KEYS[1], 'rooms', ARGV[7]) end
return {'ok', floor, secret}
"""
)

#: Tries out what the others do, and leaves nothing behind: what is not allowed fails at the start.
#: Keys: one that nothing else uses. Arguments: a channel that nobody hears.
PROBE = Script(
    """
local key = KEYS[1]
redis.call('DEL', key)
redis.call('XADD', key, 'MAXLEN', '~', 1, '1-*', 'm', '')
redis.call('XRANGE', key, '-', '+')
redis.call('PEXPIRE', key, 1000)
redis.call('DEL', key)
redis.call('SADD', key, '')
redis.call('SREM', key, '')
redis.call('SPOP', key, 1)
redis.call('HSET', key, '', '')
redis.call('HGETALL', key)
redis.call('HGET', key, '')
redis.call('HDEL', key, '')
redis.call('SET', key, '', 'PX', 1000)
redis.call('GET', key)
redis.call('DEL', key)
redis.call('PUBLISH', ARGV[1], '')
"""
)

ALL = (
    ADD,
    SINCE,
    TOPS,
    COME,
    GO,
    PRESENT,
    SWEEP,
    LEASE,
    LEASES,
    CLAIM,
    KEEP,
    DISCLAIM,
    MEET,
    PROBE,
)
