-- Numbers a message of a channel without history, and publishes it.
--
-- KEYS: numbers, lasts, and the key of once if there is one.
-- ARGV: which last number is expected or '', once or '', of how many channels the last number is
--   remembered, the message behind its numbers, its channel; then where it is published.
-- Returns its number and the one before; -1 and the last number, which is not the expected one; or -2, as another
--   request was sent under the key of once.
local has_once = ARGV[2] ~= ''
if has_once then
  local first = first_place(KEYS[3], ARGV[2])
  if first then
    return first
  end
end
local last = redis.call('ZSCORE', KEYS[2], ARGV[5])
if ARGV[1] ~= '' and last and tonumber(ARGV[1]) ~= tonumber(last) then
  return { -1, tonumber(last) }
end
local before = last or '0'
local now = redis.call('TIME')
local number = math.max((redis.call('HGET', KEYS[1], 'head') or 0) + 1, now[1] * 1000000 + now[2])
local id = string.format('%.0f', number)
redis.call('HSET', KEYS[1], 'head', id)
if redis.call('ZADD', KEYS[2], id, ARGV[5]) == 1 then
  local over = redis.call('ZCARD', KEYS[2]) - ARGV[3]
  if over > 0 then
    local gone = redis.call('ZPOPMIN', KEYS[2], math.min(over, 16))
    redis.call('HSET', KEYS[1], 'unlisted', gone[#gone])
  end
end
if has_once then
  remember(KEYS[3], ARGV[2], id, before)
end
local payload = id .. ' ' .. before .. ' ' .. ARGV[4]
for form = 6, #ARGV do
  redis.call('PUBLISH', ARGV[form], payload)
end
return { number, tonumber(before) }
