-- Forgets channels while there are too many: first those of which nothing is kept, and of equal ones the least
-- recently used.
--
-- KEYS: numbers, log, channels, names, empty, due, lost, sizes. ARGV: how many there may be; what the names of
--   streams begin with; how many messages go at most.
-- Returns whether there is more to do.
local keys = { log = KEYS[2], empty = KEYS[5], lost = KEYS[7] }
local steps = tonumber(ARGV[3])
local over = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[1])
while over > 0 and steps > 0 do
  local channel = redis.call('ZRANGE', KEYS[5], 0, 0)[1] or redis.call('ZRANGE', KEYS[3], 0, 0)[1]
  keys.stream = ARGV[2] .. channel
  local count = redis.call('XLEN', keys.stream)
  local gone, freed = cut(keys, channel, count, 0, 0, 0, 0, 0, steps)
  redis.call('HINCRBY', KEYS[1], 'messages', 0 - gone)
  redis.call('HINCRBY', KEYS[1], 'bytes', 0 - freed)
  redis.call('HINCRBY', KEYS[8], channel, 0 - freed)
  if gone < count then
    return 1
  end
  local last = tonumber(redis.call('ZSCORE', KEYS[3], channel))
  if last > tonumber(redis.call('HGET', KEYS[1], 'forgotten') or 0) then
    redis.call('HSET', KEYS[1], 'forgotten', text(last))
  end
  redis.call('DEL', keys.stream)
  for _, key in ipairs({ KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7] }) do
    redis.call('ZREM', key, channel)
  end
  redis.call('HDEL', KEYS[8], channel)
  over = over - 1
  steps = steps - gone - 1
end
return over > 0 and 1 or 0
