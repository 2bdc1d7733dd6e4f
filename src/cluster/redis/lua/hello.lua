-- Tells where the numbers stand, and gives them another name if some that were given out are lost.
--
-- KEYS: numbers. ARGV: another name; the name that was known last, and the largest number that was seen.
-- Returns the name and the largest number.
local numbers = redis.call('HMGET', KEYS[1], 'epoch', 'head')
local epoch, head = numbers[1], tonumber(numbers[2] or 0)
local seen = tonumber(ARGV[3])
if not epoch or (epoch == ARGV[2] and head < seen) then
  epoch = ARGV[1]
  head = math.max(head, seen, time())
  redis.call('HMSET', KEYS[1], 'epoch', epoch, 'head', text(head), 'forgotten', text(head))
elseif head < seen then
  head = seen
  redis.call('HSET', KEYS[1], 'head', text(head))
end
return { epoch, head }
