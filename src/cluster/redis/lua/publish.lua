-- Numbers a message of a channel without history, and publishes it.
--
-- KEYS: numbers, last, and the key of once if there is one.
-- ARGV: which last number is expected or '', milliseconds of once or '', seconds that the last number is remembered,
--   the message behind its numbers; then where it is published.
-- Returns its number and the one before; or -1 and the last number, which is not the expected one.
local has_once = ARGV[2] ~= ''
if has_once then
  local first = redis.call('GET', KEYS[3])
  if first then
    local id, before = string.match(first, '^(%d+) (%d+)$')
    return { tonumber(id), tonumber(before) }
  end
end
local before = redis.call('GET', KEYS[2]) or '0'
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= tonumber(before) then
  return { -1, tonumber(before) }
end
local now = redis.call('TIME')
local number = math.max((redis.call('HGET', KEYS[1], 'head') or 0) + 1, now[1] * 1000000 + now[2])
local id = string.format('%.0f', number)
redis.call('HSET', KEYS[1], 'head', id)
redis.call('SET', KEYS[2], id, 'EX', ARGV[3])
if has_once then
  redis.call('SET', KEYS[3], id .. ' ' .. before, 'PX', ARGV[2])
end
local payload = id .. ' ' .. before .. ' ' .. ARGV[4]
for form = 5, #ARGV do
  redis.call('PUBLISH', ARGV[form], payload)
end
return { number, tonumber(before) }
