-- Takes off some of the sessions that a dead node had of users and addresses.
--
-- KEYS: how many all nodes have of each, how many the node had, nodes. ARGV: the node; of how many users and addresses.
-- Returns of how many it was done; 0 as it lives.
local lease = redis.call('ZSCORE', KEYS[3], ARGV[1])
if lease and tonumber(lease) >= time() then
  return 0
end
local some = redis.call('HRANDFIELD', KEYS[2], ARGV[2], 'WITHVALUES')
for at = 1, #some, 2 do
  if redis.call('HINCRBY', KEYS[1], some[at], 0 - tonumber(some[at + 1])) <= 0 then
    redis.call('HDEL', KEYS[1], some[at])
  end
  redis.call('HDEL', KEYS[2], some[at])
end
return #some / 2
