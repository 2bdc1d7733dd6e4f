-- Numbers a message, keeps it if its channel has history, and publishes it.
--
-- KEYS: numbers, last, with history also log, channels, names, empty, due, lost, sizes, stream, and the key of
--   once if there is one.
-- ARGV: whether there is history, which last number is expected or '', milliseconds of once or '', seconds that
--   the last number is remembered, the message behind its numbers, with history also its channel, when it came or
--   '0', bytes of its body, and how many messages, bytes and microseconds are kept; then where it is published.
-- Returns its number and the one before; or -1 and the last number, which is not the expected one.
local has_history = ARGV[1] == '1'
if ARGV[3] ~= '' then
  local first = redis.call('GET', KEYS[#KEYS])
  if first then
    local id, before = string.match(first, '^(%d+) (%d+)$')
    return { tonumber(id), tonumber(before) }
  end
end
local before = redis.call('GET', KEYS[2])
if not before and has_history then
  before = redis.call('ZSCORE', KEYS[4], ARGV[6])
end
before = before or '0'
if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= tonumber(before) then
  return { -1, tonumber(before) }
end

local numbers = redis.call('HMGET', KEYS[1], 'head', 'messages', 'bytes')
local now = time()
local number = math.max(tonumber(numbers[1] or 0) + 1, now)
local id = text(number)
local payload = id .. ' ' .. before .. ' ' .. ARGV[5]
redis.call('SET', KEYS[2], id, 'EX', ARGV[4])

local forms = 6
if has_history then
  forms = 12
  local keys = { log = KEYS[3], empty = KEYS[6], lost = KEYS[8], stream = KEYS[10] }
  local channel, length = ARGV[6], tonumber(ARGV[8])
  local messages, bytes, age = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
  local place = id .. '-' .. ARGV[8]
  redis.call('XADD', keys.stream, place, 'm', payload)
  redis.call('XADD', keys.log, place, 'c', channel)
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
    local at = tonumber(ARGV[7])
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
  redis.call('HMSET', KEYS[1], 'head', id, 'messages', text(tonumber(numbers[2] or 0) + 1 - gone),
    'bytes', text(tonumber(numbers[3] or 0) + length - freed))
else
  redis.call('HSET', KEYS[1], 'head', id)
end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[#KEYS], id .. ' ' .. before, 'PX', ARGV[3])
end
for form = forms, #ARGV do
  redis.call('PUBLISH', ARGV[form], payload)
end
return { number, tonumber(before) }
