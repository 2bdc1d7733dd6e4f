-- Lets go of the oldest messages of a channel.
--
-- KEYS: numbers, log, empty, due, lost, sizes, stream. ARGV: the channel; how many messages, bytes and microseconds
--   are kept; up to which number none is; the time in microseconds; how many go at most.
-- Returns how many went.
local keys = { log = KEYS[2], empty = KEYS[3], lost = KEYS[5], stream = KEYS[7] }
local channel, age = ARGV[1], tonumber(ARGV[4])
local steps = tonumber(ARGV[7])
local count = redis.call('XLEN', keys.stream)
local gone, freed = 0, 0
if count > 0 then
  local size = tonumber(redis.call('HGET', KEYS[6], channel) or 0)
  local old = age > 0 and tonumber(ARGV[6]) - age or 0
  gone, freed = cut(keys, channel, count, size, tonumber(ARGV[2]), tonumber(ARGV[3]), old, tonumber(ARGV[5]), steps)
end
if gone > 0 then
  redis.call('HINCRBY', KEYS[6], channel, 0 - freed)
  redis.call('HINCRBY', KEYS[1], 'messages', 0 - gone)
  redis.call('HINCRBY', KEYS[1], 'bytes', 0 - freed)
end
if gone == count then
  redis.call('ZREM', KEYS[4], channel)
elseif age > 0 and gone < steps then
  local oldest = redis.call('XRANGE', keys.stream, '-', '+', 'COUNT', 1)[1]
  redis.call('ZADD', KEYS[4], text(came(oldest) + age), channel)
end
return gone
