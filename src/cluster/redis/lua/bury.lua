-- Lets some sessions of a dead node expire.
--
-- KEYS: the set of its sessions in a partition, nodes. ARGV: the node; what the names of sessions begin with; how
--   many. Returns how many are done; or -1, as it lives.
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if lease and tonumber(lease) >= time() then
  return -1
end
local ids = redis.call('SPOP', KEYS[1], ARGV[3])
for _, id in ipairs(ids) do
  local session = ARGV[2] .. id
  local known = redis.call('HMGET', session, 'node', 'outlives')
  if known[1] == ARGV[1] then
    redis.call('PEXPIRE', session, known[2])
  end
end
return #ids
