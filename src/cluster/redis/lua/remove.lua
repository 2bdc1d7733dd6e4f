-- Forgets a session that has ended, if it is a node's. One that has had several owners is remembered for a while, so
-- that a former one hears that it has lost it.
--
-- KEYS: the session. ARGV: the session's id; what the names of the sets of nodes' sessions begin with; the node and
--   the generation; for how many milliseconds it is remembered. Returns whether it was the node's.
local known = redis.call('HMGET', KEYS[1], 'node', 'generation')
if known[1] ~= ARGV[3] or known[2] ~= ARGV[4] then
  return 0
end
redis.call('SREM', ARGV[2] .. ARGV[3], ARGV[1])
if known[2] == '1' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'node', '')
  redis.call('HDEL', KEYS[1], 'state', 'outlives')
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
return 1
