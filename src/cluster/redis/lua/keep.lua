-- Numbers a message, keeps it, and publishes it.
--
-- KEYS: numbers, lasts, log, channels, names, empty, due, lost, sizes, stream, and the key of once if there is one.
-- ARGV: as for a message that is not kept; behind its channel when it came or '0', bytes of its body, and how many
--   messages, bytes and microseconds are kept; then where it is published.
-- Returns its number and the one before; -1 and the last number, which is not the expected one; or -2, as another
--   request was sent under the key of once.
local keys = { log = KEYS[3], empty = KEYS[6], lost = KEYS[8], stream = KEYS[10] }
local channel, length = ARGV[5], tonumber(ARGV[7])
local messages, bytes, age = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local has_once = ARGV[2] ~= ''
if has_once then
  local first = first_place(KEYS[11], ARGV[2])
  if first then
    return first
  end
end
local last = redis.call('ZSCORE', KEYS[4], channel)
-- It may have had no history meanwhile.
local other = redis.call('ZSCORE', KEYS[2], channel)
if other then
  last = (not last or tonumber(last) < tonumber(other)) and other or last
end
if ARGV[1] ~= '' and last and tonumber(ARGV[1]) ~= tonumber(last) then
  return { -1, tonumber(last) }
end
local before = last or '0'

local numbers = redis.call('HMGET', KEYS[1], 'head', 'messages', 'bytes')
local now = time()
local number = math.max((numbers[1] or 0) + 1, now)
local id = text(number)
local payload = id .. ' ' .. before .. ' ' .. ARGV[4]
local place = id .. '-' .. ARGV[7]
redis.call('XADD', keys.stream, place, 'm', payload)
redis.call('XADD', keys.log, place, 'c', channel)
if other then
  redis.call('ZREM', KEYS[2], channel)
end
if redis.call('ZADD', KEYS[4], id, channel) == 1 then
  redis.call('ZADD', KEYS[5], 0, channel)
end

local count = redis.call('XLEN', keys.stream)
local size = redis.call('HINCRBY', KEYS[9], channel, length)
if count == 1 then
  redis.call('ZREM', keys.empty, channel)
end
local old = 0
if age > 0 then
  local at = tonumber(ARGV[6])
  redis.call('ZADD', KEYS[7], 'NX', text((at == 0 and number or at) + age), channel)
  old = now - age
end
local gone, freed = 0, 0
if count > messages or size > bytes then
  local steps = size > bytes and 16 or math.min(count - messages, 16)
  gone, freed = cut(keys, channel, count, size, messages, bytes, old, 0, steps)
  if freed > 0 then
    redis.call('HINCRBY', KEYS[9], channel, 0 - freed)
  end
end
redis.call('HMSET', KEYS[1], 'head', id, 'messages', text((numbers[2] or 0) + 1 - gone),
  'bytes', text((numbers[3] or 0) + length - freed))
if has_once then
  remember(KEYS[11], ARGV[2], id, before)
end
for form = 11, #ARGV do
  redis.call('PUBLISH', ARGV[form], payload)
end
return { number, tonumber(before) }
