-- Notes channels and patterns that have got their first subscriber at a node, or lost their last there.
--
-- KEYS: how many nodes have subscribers of each, those of which the node has, nodes. ARGV: the node; then each channel
--   or pattern, and whether the node has any ('1'). Returns of each whether it is the first node that has any, or the
--   last that had; or nothing, as the node does not live.
local lease = redis.call('ZSCORE', KEYS[3], ARGV[1])
if not lease or tonumber(lease) < time() then
  return {}
end
local told = {}
for at = 2, #ARGV, 2 do
  local channel, is_told = ARGV[at], 0
  if ARGV[at + 1] == '1' then
    if redis.call('SADD', KEYS[2], channel) == 1 and redis.call('HINCRBY', KEYS[1], channel, 1) == 1 then
      is_told = 1
    end
  elseif redis.call('SREM', KEYS[2], channel) == 1 and redis.call('HINCRBY', KEYS[1], channel, -1) <= 0 then
    redis.call('HDEL', KEYS[1], channel)
    is_told = 1
  end
  told[#told + 1] = is_told
end
return told
