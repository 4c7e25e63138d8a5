"""What Redis does in one step; each script is atomic, and all its keys are in one slot."""

from __future__ import annotations

# Keys: live, generations, dropped. Arguments: the name of a new generation.
OPEN = """
local live = redis.call('GET', KEYS[1])
if live then return live end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
"""

# The same. Marks those that nobody has published as dropped.
CREATE = """
local live = redis.call('GET', KEYS[1])
for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if name ~= live then
    redis.call('SREM', KEYS[2], name)
    redis.call('SADD', KEYS[3], name)
  end
end
redis.call('SADD', KEYS[2], ARGV[1])
return 1
"""

# The same; 0 where the generation is gone.
PUBLISH = """
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if name ~= ARGV[1] then
    redis.call('SREM', KEYS[2], name)
    redis.call('SADD', KEYS[3], name)
  end
end
return 1
"""

# Keys: live, generations, dropped.
DROP = """
for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  redis.call('SADD', KEYS[3], name)
end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
"""

# Keys: generations, the names of a generation's documents, and those of the documents. Arguments: the
# generation, how long a tombstone stays in milliseconds, and for each document the token it was read
# with, its new one, position, 1 for a tombstone, body, applied and its key. Gives the keys that another
# writer has changed; false where the generation is gone.
WRITE = """
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return false end
local conflicts = {}
for i = 3, #KEYS do
  local at = 3 + (i - 3) * 7
  local stored = redis.call('HGET', KEYS[i], 'token') or ''
  local key = ARGV[at + 6]
  if stored ~= ARGV[at] then
    conflicts[#conflicts + 1] = key
  else
    redis.call('HSET', KEYS[i], 'token', ARGV[at + 1], 'p', ARGV[at + 2], 'a', ARGV[at + 5])
    if ARGV[at + 3] == '1' then
      redis.call('HDEL', KEYS[i], 'b')
      redis.call('PEXPIRE', KEYS[i], ARGV[2])
      redis.call('SREM', KEYS[2], key)
    else
      redis.call('HSET', KEYS[i], 'b', ARGV[at + 4])
      redis.call('PERSIST', KEYS[i])
      redis.call('SADD', KEYS[2], key)
    end
  end
end
return conflicts
"""

ALL = {"open": OPEN, "create": CREATE, "publish": PUBLISH, "drop": DROP, "write": WRITE}
