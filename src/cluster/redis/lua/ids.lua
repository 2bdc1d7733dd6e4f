-- Returns the numbers of a channel's newest messages, the largest first, without what they say.
--
-- KEYS: stream. ARGV: the largest and the smallest number that is wanted, and how many.
local ids = {}
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
  ids[#ids + 1] = tonumber(string.match(entry[1], '^%d+'))
end
return ids
