"""What Redis does in one step for the broker; each script is atomic.

They are sent whole each time: they are short, and a server that was restarted or failed over has none stored.
"""

from __future__ import annotations

# The one name under which a group reads. Who may use it is a matter of the lease, so what a dead
# receiver had not acknowledged is simply the history of this name, and no names of the dead pile up.
CONSUMER = "receiver"

# Keys: a stream. Arguments: its length at most, the content type, and the documents. Stops at the first
# that the stream does not take, so that no later one passes it. Gives how many are stored, and why no more.
ADD = """
for i = 3, #ARGV do
  local id = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',
                         'content-type', ARGV[2], 'event', ARGV[i])
  if type(id) == 'table' then return {i - 3, id.err} end
end
return {#ARGV - 2, ''}
"""

# Arguments of all that follow begin with: the name of a receiver, its epoch, and how many milliseconds
# a lease lasts. The same receiver of an earlier epoch has lost its connection: what that one had sent
# may still arrive, and must find the lease gone.
_LEASE = """
local function is_free_or_mine(owner)
  if not owner then return true end
  local name, epoch = string.match(owner, '^(.*) (%d+)$')
  return name == ARGV[1] and tonumber(epoch) <= tonumber(ARGV[2])
end
"""

# Keys: for each stream itself and its lease. Arguments: also the group, how many entries at most, and for
# each stream the id behind which to read what is pending ('>' once all that was given), and the idle
# milliseconds after which what others in the group hold is taken from them (0: not now).
# Gives for each stream: 1 if its lease is held, where to go on, the last id that the group was given
# ('' if there may be more), and the entries. Only the holder of a lease comes to the reading.
READ = (
    _LEASE
    + """
local group, room = ARGV[4], tonumber(ARGV[5])

local function add(entries, found)
  for _, entry in ipairs(found) do entries[#entries + 1] = entry end
  room = room - #found
end

local function read(stream, from)
  local found = redis.call('XREADGROUP', 'GROUP', group, '{consumer}', 'COUNT', room, 'STREAMS', stream, from)
  return found and found[1] and found[1][2] or {}
end

local function to_map(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

local function claim(stream, idle, entries)
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local consumer = to_map(flat)
    if consumer.name ~= '{consumer}' and consumer.pending > 0 and room > 0 then
      local ids = {}
      for i, pending in ipairs(redis.call('XPENDING', stream, group, 'IDLE', idle, '-', '+', room, consumer.name)) do
        ids[i] = pending[1]
      end
      if #ids > 0 then add(entries, redis.call('XCLAIM', stream, group, '{consumer}', idle, unpack(ids))) end
    end
  end
end

local function last_id(stream)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local found = to_map(flat)
    if found.name == group then return found['last-delivered-id'] end
  end
end

local answers = {}
for i = 1, #KEYS / 2 do
  local stream, lease = KEYS[2 * i - 1], KEYS[2 * i]
  local from, idle = ARGV[4 + 2 * i], tonumber(ARGV[5 + 2 * i])
  local owner = redis.call('GET', lease)
  if not is_free_or_mine(owner) then
    answers[i] = {0, '0', '', {}}
  else
    redis.call('SET', lease, ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
    -- Whoever held it meanwhile may have left something pending.
    if not owner then from = '0' end
    local entries, last = {}, ''
    if from ~= '>' and room > 0 then
      local wanted = room
      add(entries, read(stream, from))
      from = #entries < wanted and '>' or entries[#entries][1]
    end
    if from == '>' and room > 0 then
      if idle > 0 then claim(stream, idle, entries) end
      if room > 0 then add(entries, read(stream, '>')) end
      if #entries == 0 then last = last_id(stream) end
    end
    answers[i] = {1, from, last, entries}
  end
end
return answers
""".replace("{consumer}", CONSUMER)
)

# Keys: a stream and its lease. Arguments: also the group, and ids of entries. Gives 0 where another
# receiver has the lease: it was given these entries too.
ACKNOWLEDGE = (
    _LEASE
    + """
if not is_free_or_mine(redis.call('GET', KEYS[2])) then return 0 end
for i = 5, #ARGV, 1000 do
  redis.call('XACK', KEYS[1], ARGV[4], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
return 1
"""
)

# Keys: leases.
RELEASE = (
    _LEASE
    + """
for _, lease in ipairs(KEYS) do
  if is_free_or_mine(redis.call('GET', lease)) then redis.call('DEL', lease) end
end
return 1
"""
)
