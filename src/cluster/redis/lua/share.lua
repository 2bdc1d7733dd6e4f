-- Notes how many sessions of some users and addresses a node has.
--
-- KEYS: how many all nodes have of each, how many the node has, nodes. ARGV: the node; then each user or address, and how
--   many. Returns of each how many all nodes have; or nothing, as the node does not live.
local lease = redis.call('ZSCORE', KEYS[3], ARGV[1])
if not lease or tonumber(lease) < time() then
  return {}
end
local totals = {}
for at = 2, #ARGV, 2 do
  local name, count = ARGV[at], tonumber(ARGV[at + 1])
  local before = tonumber(redis.call('HGET', KEYS[2], name) or '0')
  if count == 0 then
    redis.call('HDEL', KEYS[2], name)
  else
    redis.call('HSET', KEYS[2], name, ARGV[at + 1])
  end
  local total = redis.call('HINCRBY', KEYS[1], name, count - before)
  if total <= 0 then
    redis.call('HDEL', KEYS[1], name)
    total = 0
  end
  totals[#totals + 1] = total
end
return totals
