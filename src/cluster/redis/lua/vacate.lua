-- Takes off some channels and patterns of which a dead node had subscribers.
--
-- KEYS: how many nodes have subscribers of each, those of which the node had, nodes. ARGV: the node; how many.
-- Returns how many are done, or 0 as it lives; and those of which no other node has any.
local lease = redis.call('ZSCORE', KEYS[3], ARGV[1])
if lease and tonumber(lease) >= time() then
  return { 0, {} }
end
local channels, vacated = redis.call('SPOP', KEYS[2], ARGV[2]), {}
for _, channel in ipairs(channels) do
  if redis.call('HINCRBY', KEYS[1], channel, -1) <= 0 then
    redis.call('HDEL', KEYS[1], channel)
    vacated[#vacated + 1] = channel
  end
end
return { #channels, vacated }
